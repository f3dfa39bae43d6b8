//! What the mover promises for any fleet: it settles, crowds a host only where all are done more for,
//! and loses nothing.

use std::collections::BTreeMap;

use giantvm_core::VcpuId;
use giantvm_sched::reallocate::{
    Fleet, FleetError, Footprint, HostId, Move, Mover, Parameters, Policy, Static, Unit, VmId, What,
};
use giantvm_sched::schedule::Nanos;
use proptest::prelude::*;

const PERIOD: u64 = 10_000_000_000;
const HOSTS: u32 = 6;

fn at(period: u64) -> Nanos {
    Nanos(period * PERIOD)
}

/// A fleet with these capacities, and machines with vCPUs on these hosts.
fn fleet(capacities: &[u32], vms: &[Vec<u32>], footprint: Footprint) -> Fleet {
    let mut fleet = Fleet::new(capacities.len()).unwrap();
    for (host, &capacity) in fleet.hosts().zip(capacities) {
        fleet.set_capacity(host, capacity).unwrap();
    }
    for seats in vms {
        let seats: Vec<_> = seats.iter().copied().map(HostId).collect();
        fleet.add(&seats, footprint).unwrap();
    }
    fleet
}

/// How many vCPUs each machine has, wherever.
fn counts(fleet: &Fleet) -> Vec<u32> {
    let of = |vm| fleet.spread(vm).map(|(_, count)| count).sum();
    fleet.vms().map(of).collect()
}

fn overload(fleet: &Fleet) -> u64 {
    let over = |host| fleet.load(host).saturating_sub(fleet.capacity(host));
    fleet.hosts().map(over).sum()
}

fn any_unit() -> impl Strategy<Value = Unit> {
    prop_oneof![Just(Unit::Vcpu), Just(Unit::Slice)]
}

fn any_capacities() -> impl Strategy<Value = Vec<u32>> {
    prop::collection::vec(0..20_000_u32, HOSTS as usize)
}

fn any_vms() -> impl Strategy<Value = Vec<Vec<u32>>> {
    prop::collection::vec(prop::collection::vec(0..HOSTS, 1..12), 0..12)
}

prop_compose! {
    fn any_footprint()(
        memory in 0..8_u64 << 30, hot in 0..1_u64 << 30, stores in 0..1_u64 << 30, stall in 0..400_000_u32,
        in_step in any::<bool>(),
    ) -> Footprint {
        Footprint { memory, hot, stores, stall, in_step }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn no_move_crowds_a_host_but_for_less_crowding_and_no_vcpu_is_lost(
        unit in any_unit(), capacities in prop::collection::vec(any_capacities(), 1..30),
        vms in any_vms(), footprint in any_footprint(),
    ) {
        let mut fleet = fleet(&capacities[0], &vms, footprint);
        let mut mover = Mover::new(unit, Parameters::of(unit));
        let before = counts(&fleet);
        // Slices take their time; whoever is on the way has a place there.
        let mut flying: Vec<(Nanos, Move)> = Vec::new();
        for (period, capacities) in (0..).zip(&capacities) {
            let now = at(period);
            flying.retain(|(until, step)| {
                let lands = *until <= now;
                if lands { fleet.carry_out(step).unwrap(); }
                !lands
            });
            for (host, &capacity) in fleet.hosts().zip(capacities) {
                fleet.set_capacity(host, capacity).unwrap();
            }
            let mut then = fleet.clone();
            for (_, step) in &flying {
                then.carry_out(step).unwrap();
            }
            for step in mover.decide(now, &fleet) {
                // Only a host without its reserve sends slices away.
                let reserve = u64::from(Parameters::of(unit).reserve);
                let fill = then.capacity(step.from) * (1000 - reserve) / 1000;
                prop_assert!(then.load(step.from) > fill || step.what != What::Slice);
                let over = overload(&then);
                then.carry_out(&step).unwrap();
                let is_crowded = then.load(step.to) > then.capacity(step.to);
                prop_assert!(!is_crowded || overload(&then) < over, "{:?}", step);
                match step.what {
                    What::Vcpu(_) => fleet.carry_out(&step).unwrap(),
                    What::Slice => flying.push((now.plus(step.cost.took), step)),
                }
            }
            prop_assert_eq!(counts(&then), before.clone());
        }
    }

    #[test]
    fn constant_capacities_lead_to_a_bounded_number_of_moves_and_then_none(
        capacities in any_capacities(), vms in any_vms(), footprint in any_footprint(),
    ) {
        let mut fleet = fleet(&capacities, &vms, footprint);
        let mut mover = Mover::new(Unit::Vcpu, Parameters::default());
        let (mut last, mut least) = (0, overload(&fleet));
        for period in 0..400 {
            for step in mover.decide(at(period), &fleet) {
                fleet.carry_out(&step).unwrap();
                last = period;
            }
            let over = overload(&fleet);
            prop_assert!(over <= least, "{} after {}", over, least);
            least = over;
        }
        prop_assert!(last < 200, "still moving in period {}", last);
    }

    #[test]
    fn the_same_input_leads_to_the_same_moves(
        unit in any_unit(), capacities in any_capacities(), vms in any_vms(), footprint in any_footprint(),
    ) {
        let fleet = fleet(&capacities, &vms, footprint);
        let mut movers = [0; 2].map(|_| Mover::new(unit, Parameters::of(unit)));
        let [first, second] = movers.each_mut().map(|mover| mover.decide(at(0), &fleet));
        prop_assert_eq!(first, second);
    }

    #[test]
    fn links_are_not_promised_more_than_they_carry(
        unit in any_unit(), capacities in any_capacities(), vms in any_vms(), footprint in any_footprint(),
    ) {
        let fleet = fleet(&capacities, &vms, footprint);
        let mut params = Parameters::of(unit);
        (params.patience, params.link) = (1, 20_000_000);
        let mut mover = Mover::new(unit, params.clone());
        let mut bytes = BTreeMap::new();
        for step in mover.decide(at(0), &fleet) {
            for host in [step.from, step.to] {
                // All but the last begin and end within the period.
                let on = bytes.entry(host).or_insert(0_u64);
                prop_assert!(*on <= params.link * (params.period.0 / 1_000_000_000));
                *on += step.cost.bytes;
            }
        }
    }

    #[test]
    fn what_was_moved_stays_for_its_residency(
        capacities in prop::collection::vec(any_capacities(), 60), vms in any_vms(),
    ) {
        let mut fleet = fleet(&capacities[0], &vms, Footprint::default());
        let params = Parameters::default();
        let mut mover = Mover::new(Unit::Vcpu, params.clone());
        let mut moved: BTreeMap<(VmId, What), Vec<u64>> = BTreeMap::new();
        for (period, capacities) in (0..).zip(&capacities) {
            for (host, &capacity) in fleet.hosts().zip(capacities) {
                fleet.set_capacity(host, capacity).unwrap();
            }
            for step in mover.decide(at(period), &fleet) {
                fleet.carry_out(&step).unwrap();
                moved.entry((step.vm, step.what)).or_default().push(at(period).0);
            }
        }
        for times in moved.values() {
            let gaps: Vec<_> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
            prop_assert!(gaps.iter().all(|&gap| gap >= params.residency.0), "{:?}", times);
            // Ten minutes: 160 s until it is forgiven, then 20, 40, 80 and 160 s apart.
            prop_assert!(times.len() <= 7, "{:?}", times);
        }
    }
}

/// A footprint of almost nothing, so that everything pays that helps.
const LIGHT: Footprint = Footprint {
    memory: 1 << 20,
    hot: 1 << 16,
    stores: 0,
    stall: 100_000,
    in_step: false,
};

fn decide(unit: Unit, fleet: &Fleet) -> Vec<Move> {
    Mover::new(unit, Parameters::of(unit)).decide(at(0), fleet)
}

#[test]
fn nothing_moves_while_no_host_is_crowded_and_all_machines_are_together() {
    let fleet = fleet(&[4000, 4000], &[vec![0; 4], vec![1; 2]], LIGHT);
    assert_eq!(decide(Unit::Vcpu, &fleet), []);
    assert_eq!(decide(Unit::Slice, &fleet), []);
    assert_eq!(Static.decide(at(0), &fleet), []);
}

#[test]
fn of_two_crowded_hosts_the_one_with_a_place_gets_a_vcpu() {
    // Three vCPUs where there is a place for one, and one where there is nearly one for two.
    let mut of = fleet(&[1000, 1900], &[vec![0, 0, 0], vec![1]], LIGHT);
    let moves = decide(Unit::Vcpu, &of);
    assert_eq!(moves.len(), 1);
    assert_eq!((moves[0].from, moves[0].to), (HostId(0), HostId(1)));
    of.carry_out(&moves[0]).unwrap();
    assert_eq!(overload(&of), 1100);
    assert_eq!(decide(Unit::Vcpu, &of), []);
    // None where as much would be lost as is won.
    let even = fleet(&[1000, 1000], &[vec![0, 0, 0], vec![1]], LIGHT);
    assert_eq!(decide(Unit::Vcpu, &even), []);
}

#[test]
fn a_vcpu_goes_where_its_machine_is_already() {
    // Two vCPUs too many; host 2 has most room, and host 1 has the rest of the machine.
    let fleet = fleet(&[2000, 8000, 30_000], &[vec![0, 0, 0, 0, 1, 1]], LIGHT);
    let moves = decide(Unit::Vcpu, &fleet);
    assert!(moves.len() >= 2, "{moves:?}");
    assert!(moves.iter().all(|step| step.to == HostId(1)), "{moves:?}");
}

#[test]
fn machines_come_together_again_when_there_is_room() {
    let fleet = fleet(&[8000, 8000], &[vec![0, 0, 0, 1]], LIGHT);
    let moves = decide(Unit::Vcpu, &fleet);
    assert_eq!(moves.len(), 1);
    assert_eq!((moves[0].from, moves[0].to), (HostId(1), HostId(0)));
    assert_eq!(moves[0].what, What::Vcpu(VcpuId::new(3).unwrap()));
}

#[test]
fn a_slice_goes_as_a_whole_or_not_at_all() {
    let vms = [vec![0; 4]];
    let fits = fleet(&[2000, 8000], &vms, LIGHT);
    // Only a crowd that lasts moves slices.
    let mut mover = Mover::new(Unit::Slice, Parameters::of(Unit::Slice));
    assert_eq!(mover.decide(at(0), &fits), []);
    let moves = mover.decide(at(1), &fits);
    assert_eq!(moves.len(), 1);
    assert_eq!(moves[0].what, What::Slice);
    let short = fleet(&[2000, 7000], &vms, LIGHT);
    let mut mover = Mover::new(Unit::Slice, Parameters::of(Unit::Slice));
    let moves = [0, 1, 2].map(|period| mover.decide(at(period), &short));
    assert_eq!(moves, [const { vec![] }; 3], "there has to be a reserve");
    assert!(decide(Unit::Vcpu, &short).len() >= 2);
}

#[test]
fn what_does_not_pay_stays() {
    // A vCPU that would take 15 minutes to fetch what it needs, for a processor in five minutes.
    let heavy = Footprint {
        hot: 1 << 36,
        ..LIGHT
    };
    let fleet = fleet(&[1000, 8000], &[vec![0; 2]], heavy);
    assert_eq!(decide(Unit::Vcpu, &fleet), []);
    // One that would wait for pages all the time once it is apart.
    let tied = Footprint {
        stall: 1_000_000,
        ..LIGHT
    };
    let fleet = self::fleet(&[1000, 1500], &[vec![0; 2]], tied);
    assert_eq!(decide(Unit::Vcpu, &fleet), []);
}

#[test]
fn an_idle_machine_crowds_no_one() {
    let mut fleet = fleet(&[1000, 8000], &[vec![0; 4]], LIGHT);
    fleet.set_wants(VmId(0), 0).unwrap();
    assert_eq!(fleet.load(HostId(0)), 0);
    assert_eq!(decide(Unit::Vcpu, &fleet), []);
    fleet.set_wants(VmId(0), 5000).unwrap();
    assert_eq!(fleet.load(HostId(0)), 4000, "a vCPU has one processor");
}

#[test]
fn patience_waits_for_a_crowd_that_lasts() {
    let mut params = Parameters::default();
    params.patience = 3;
    let mut mover = Mover::new(Unit::Vcpu, params);
    let mut fleet = fleet(&[1000, 8000], &[vec![0; 2]], LIGHT);
    assert_eq!(mover.decide(at(0), &fleet), []);
    fleet.set_capacity(HostId(0), 2000).unwrap();
    assert_eq!(mover.decide(at(1), &fleet), [], "it begins anew");
    fleet.set_capacity(HostId(0), 1000).unwrap();
    assert_eq!(mover.decide(at(2), &fleet), []);
    assert_eq!(mover.decide(at(3), &fleet), []);
    assert!(!mover.decide(at(4), &fleet).is_empty());
}

#[test]
fn a_vcpu_that_comes_back_fetches_less() {
    let mut mover = Mover::new(Unit::Vcpu, Parameters::default());
    let mut fleet = fleet(&[1000, 8000], &[vec![0; 2]], Footprint::default());
    let there = mover.decide(at(0), &fleet);
    for step in &there {
        fleet.carry_out(step).unwrap();
    }
    fleet.set_capacity(HostId(0), 8000).unwrap();
    fleet.set_capacity(HostId(1), 1000).unwrap();
    let back = mover.decide(at(10), &fleet)[0];
    assert_eq!((back.from, back.to), (HostId(1), HostId(0)));
    let there = there.iter().find(|step| step.what == back.what).unwrap();
    assert_eq!(back.cost.bytes * 10 / there.cost.bytes, 6);
}

#[test]
fn a_fleet_refuses_what_cannot_be_and_stays_as_it_was() {
    assert_eq!(Fleet::new(4097), Err(FleetError::Hosts(4097)));
    let mut fleet = fleet(&[1000, 1000], &[vec![0, 1]], LIGHT);
    let before = fleet.clone();
    let step = Move {
        vm: VmId(0),
        what: What::Vcpu(VcpuId::new(0).unwrap()),
        from: HostId(0),
        to: HostId(1),
        gain: 0,
        cost: Default::default(),
    };
    for (wrong, error) in [
        (
            Move {
                to: HostId(2),
                ..step
            },
            FleetError::NoHost(HostId(2)),
        ),
        (
            Move {
                vm: VmId(1),
                ..step
            },
            FleetError::NoVm(VmId(1)),
        ),
        (
            Move {
                from: HostId(1),
                to: HostId(0),
                ..step
            },
            FleetError::NotThere(VmId(0), HostId(1)),
        ),
        (
            Move {
                what: What::Vcpu(VcpuId::new(2).unwrap()),
                ..step
            },
            FleetError::NoVcpu(VmId(0), VcpuId::new(2).unwrap()),
        ),
    ] {
        assert_eq!(fleet.carry_out(&wrong), Err(error));
        assert_eq!(fleet, before);
    }
    assert_eq!(fleet.add(&[], LIGHT), Err(FleetError::Vcpus(0)));
    assert_eq!(
        fleet.add(&[HostId(9)], LIGHT),
        Err(FleetError::NoHost(HostId(9)))
    );
    assert_eq!(
        fleet.set_capacity(HostId(2), 1),
        Err(FleetError::NoHost(HostId(2)))
    );
    assert_eq!(fleet.set_wants(VmId(1), 1), Err(FleetError::NoVm(VmId(1))));
    assert_eq!(fleet, before);
    fleet.carry_out(&step).unwrap();
    assert_eq!(fleet.spread(VmId(0)).collect::<Vec<_>>(), [(HostId(1), 2)]);
    assert_eq!(fleet.on(HostId(0)).count(), 0);
}
