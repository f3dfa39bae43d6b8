//! What goes wrong in GiantVM's memory, and does not here: one named test for each defect.
//!
//! GiantVM keeps memory coherent by the same algorithm as [`Ivy`](giantvm_dsm::protocol::Ivy). The
//! defects are those found by reading its source; their numbers are those of the project's notes.
//!
//! | defect | here |
//! |---|---|
//! | 1 a retry clears the copyset | `sharers::defect_1_..` |
//! | 2 reads are served during a device's write pin | `pins::defect_2_..` |
//! | 3 an invalidation between looking for a pin and acting | `pins::defect_3_..` |
//! | 4 pages held locked across waits for others | `waits::defect_4_..` |
//! | 5 a table of transactions for four nodes | `waits::defect_5_..` |
//! | 6 server threads that block starve invalidations | `waits::defect_6_..` |
//! | 7 data through every hop | `sharers::defect_7_..` |
//! | 8 one invalidation after the other, of 4110 bytes each | `sharers::defect_8_..` |
//! | 9 polling | `waits::defect_9_..`; below the protocol `a_pump_about_to_wait_is_woken_for_every_frame` of giantvm-transport |
//! | 10 a peer that closes, lengths trusted | `input::defect_10_..`; below the engine `wrong_lengths_end_the_link`, `a_frame_cut_off_by_the_end_is_not_delivered` of giantvm-transport |
//! | 11 remote input that stops the host, errors without an answer | `input::defect_11_..`; over a link `each_kind_of_nonsense_has_its_reason` |
//! | 12 versions of 16 bits | `versions::defect_12_..` |
//! | 13 the owner hint changed without a lock | `sharers::defect_13_..`; a node is `&mut` to one thread |
//! | 14 initial pages taken for identical | `versions::defect_14_..` |
//! | 15 set-up replicated in part, a clock set once | no such devices; giantvm-vcpu corrects its clock all the time: `corrections_reach_readers`; a vCPU that fails is an exit on any node: `a_panic_and_a_shutdown_are_exits` |
//! | 16 one slow device holds up all | giantvm-io: `a_slow_device_holds_up_no_other_one` |
//! | 17 device code with direct pointers to memory | there is one mapping, and it faults: `guest_memory_fetches_what_is_touched_on_both_sides_of_a_hole` |
//! | 18 stand-ins for remote vCPUs that run on | they only wait for interrupts: `idle_proxies_use_no_processor_time_and_end_with_their_host` |
//! | 19 features taken from every guest of the host | does not arise: the host's kernel is as it was |
//! | 20 leaks | `waits::defect_20_..` |
//! | 21 other guests' accesses intercepted, accesses unguarded | does not arise: KVM's own accesses fault on the same mapping, and those that would not are withheld: `asynchronous_page_faults_and_all_that_writes_guest_pages_is_withheld` |
//! | 22 links made on the first fault | all links are there before the memory is: `nodes_join_in_any_order_and_hear_who_is_missing` of giantvm-transport |

mod input;
mod pins;
mod sharers;
mod support;
mod versions;
mod waits;
