//! The default protocol's statement in Murphi (`models/`), checked in every state of small worlds.
//!
//! It says the same as the documentation, not as the code: whoever changes the protocol changes
//! both. The numbers are pinned, so that a model that shrinks by mistake is noticed. The broken
//! ones show that the laws would notice if the protocol were wrong.

use std::path::Path;
use std::process::{Command, ExitStatus};

use giantvm_core::testing::skip;

const MODEL: &str = concat!(
    include_str!("../models/directory.m"),
    include_str!("../models/world.m"),
    include_str!("../models/laws.m"),
);

/// The model with one text in place of another that is there once.
fn with(model: &str, from: &str, to: &str) -> String {
    assert_eq!(model.matches(from).count(), 1, "{from}");
    model.replacen(from, to, 1)
}

fn nodes(count: u8) -> String {
    with(MODEL, "Nodes:  3;", &format!("Nodes:  {count};"))
}

fn run(command: &mut Command) -> (ExitStatus, String) {
    let output = command.output().unwrap_or_else(|error| {
        panic!("{command:?}: {error}");
    });
    let text = [output.stdout, output.stderr].concat();
    (output.status, String::from_utf8_lossy(&text).into_owned())
}

fn must_run(command: &mut Command) {
    let (status, said) = run(command);
    assert!(status.success(), "{command:?}: {said}");
}

/// What the checker says of a model; `None` if it is not there, and the test is skipped.
fn check(test: &str, model: &str, options: &[&str]) -> Option<String> {
    for tool in ["rumur", "cc"] {
        if Command::new(tool).arg("--version").output().is_err() {
            skip(test, &format!("there is no {tool}"));
            return None;
        }
    }
    let at = Path::new(env!("CARGO_TARGET_TMPDIR")).join(test);
    let [text, code, checker] = ["m", "c", "bin"].map(|end| at.with_extension(end));
    std::fs::write(&text, model).unwrap();
    // One thread: the pinned numbers depend on the order where symmetry is only guessed at.
    let always = ["--threads", "1", "--colour", "off", "--output"];
    let mut rumur = Command::new("rumur");
    must_run(rumur.args(always).arg(&code).args(options).arg(&text));
    let mut cc = Command::new("cc");
    // The checker swaps two words at once. In such small worlds optimising it does not pay.
    if cfg!(target_arch = "x86_64") {
        cc.arg("-mcx16");
    }
    must_run(
        cc.args(["-O0", "-w", "-pthread", "-o"])
            .arg(&checker)
            .arg(code),
    );
    Some(run(&mut Command::new(checker)).1)
}

/// Asserts that every law holds, and how many states there are and rules fired.
fn holds(test: &str, model: &str, options: &[&str], states: u64, rules: u64) {
    let Some(said) = check(test, model, options) else {
        return;
    };
    assert!(said.contains("No error found."), "{said}");
    let counted = format!("\t{states} states, {rules} rules fired in ");
    assert!(said.contains(&counted), "not {counted}: {said}");
}

/// The same with homes that move at any time.
fn moving(model: &str) -> String {
    with(model, "Moves:  0;", "Moves:  1;")
}

/// Asserts that the two-node model with `from` replaced breaks a law.
fn breaks(test: &str, from: &str, to: &str, law: &str) {
    breaks_in(test, &nodes(2), from, to, law);
}

fn breaks_in(test: &str, model: &str, from: &str, to: &str, law: &str) {
    let model = with(model, from, to);
    let Some(said) = check(test, &model, &[]) else {
        return;
    };
    assert!(said.contains(" error(s) found."), "{said}");
    assert!(said.contains(law), "not {law}: {said}");
}

#[test]
fn two_nodes_keep_every_law() {
    holds("two_nodes_keep_every_law", &nodes(2), &[], 605, 1_486);
}

/// Each state once for each of the two nodes that may be home.
#[test]
fn two_nodes_keep_every_law_without_symmetry() {
    let options = ["--symmetry-reduction", "off"];
    let test = "two_nodes_keep_every_law_without_symmetry";
    holds(test, &nodes(2), &options, 1_210, 2_972);
}

#[test]
fn three_nodes_keep_every_law() {
    let test = "three_nodes_keep_every_law";
    holds(test, &nodes(3), &[], 37_854, 116_266);
}

#[test]
fn two_nodes_fail_closed_wherever_one_dies() {
    let model = with(&nodes(2), "Deaths: 0;", "Deaths: 1;");
    // The end of a cluster is no deadlock.
    let options = ["--deadlock-detection", "off"];
    let test = "two_nodes_fail_closed_wherever_one_dies";
    holds(test, &model, &options, 2_360, 5_052);
}

#[test]
fn two_nodes_keep_every_law_wherever_the_home_is() {
    let test = "two_nodes_keep_every_law_wherever_the_home_is";
    holds(test, &moving(&nodes(2)), &[], 1_678, 4_427);
}

#[test]
fn two_nodes_fail_closed_wherever_the_home_is() {
    let model = with(&moving(&nodes(2)), "Deaths: 0;", "Deaths: 1;");
    let options = ["--deadlock-detection", "off"];
    let test = "two_nodes_fail_closed_wherever_the_home_is";
    holds(test, &model, &options, 5_757, 13_721);
}

#[test]
fn a_home_that_moves_while_someone_is_served_is_noticed() {
    breaks_in(
        "a_home_that_moves_while_someone_is_served_is_noticed",
        &moving(&nodes(2)),
        "Moves > 0 & Runs(home) & serving = Nobody &",
        "Moves > 0 & Runs(home) &",
        "Move: to the only holder",
    );
}

#[test]
fn a_birth_home_that_forgets_that_it_is_not_the_home_is_noticed() {
    breaks_in(
        "a_birth_home_that_forgets_that_it_is_not_the_home_is_noticed",
        &moving(&nodes(2)),
        "  where := Away;\n  at[birth].told := from;\n",
        "  where := Away;\n",
        "the birth home knows where it sends others",
    );
}

#[test]
fn a_home_that_goes_and_tells_no_one_is_noticed() {
    breaks_in(
        "a_home_that_goes_and_tells_no_one_is_noticed",
        &moving(&nodes(2)),
        "        Send(birth, from, m);\n      else",
        "      else",
        "no one waits when all is quiet",
    );
}

#[test]
fn a_wish_to_leave_that_outlives_a_move_is_noticed() {
    breaks_in(
        "a_wish_to_leave_that_outlives_a_move_is_noticed",
        &moving(&nodes(2)),
        "  at[n].told := n;\n  at[n].leaving := false;\n",
        "  at[n].told := n;\n",
        "no one waits when all is quiet",
    );
}

#[test]
fn a_birth_home_that_does_not_ask_itself_again_is_noticed() {
    breaks_in(
        "a_birth_home_that_does_not_ask_itself_again_is_noticed",
        &moving(&nodes(2)),
        "    if at[birth].waits then Requested(birth, at[birth].pending.access); end;\n",
        "",
        "no one waits when all is quiet",
    );
}

#[test]
fn a_sharer_that_is_not_invalidated_is_noticed() {
    breaks(
        "a_sharer_that_is_not_invalidated_is_noticed",
        "            grant.awaited[s] := true;\n            Send(home, s, order);\n",
        "",
        "single writer",
    );
}

#[test]
fn data_sent_without_protecting_the_page_are_noticed() {
    breaks(
        "data_sent_without_protecting_the_page_are_noticed",
        "if access = Write then Unmap(n); else at[n].copy := Read; end;",
        "if access = Write then Unmap(n); end;",
        "single writer",
    );
}

#[test]
fn a_requester_that_awaits_no_acknowledgement_is_noticed() {
    breaks(
        "a_requester_that_awaits_no_acknowledgement_is_noticed",
        "if exists s: Node do p.awaited[s] & !p.acknowledged[s] end then return; end;",
        "",
        "single writer",
    );
}

#[test]
fn a_request_before_the_done_of_the_last_one_is_noticed() {
    breaks(
        "a_request_before_the_done_of_the_last_one_is_noticed",
        "m := way.line[0];",
        "m := way.line[way.count - 1];",
        "one access of a node at a time",
    );
}

#[test]
fn an_owner_that_leaves_no_heir_is_noticed() {
    breaks(
        "an_owner_that_leaves_no_heir_is_noticed",
        "if owner = n then owner := heir; end;",
        "",
        "the owner is a holder",
    );
}

#[test]
fn a_wish_to_leave_that_outlives_the_copy_is_noticed() {
    breaks(
        "a_wish_to_leave_that_outlives_the_copy_is_noticed",
        "  undefine at[n].bytes;\n  at[n].leaving := false;\n",
        "  undefine at[n].bytes;\n",
        "no one waits when all is quiet",
    );
}

#[test]
fn a_home_that_takes_over_and_wakes_no_one_is_noticed() {
    breaks(
        "a_home_that_takes_over_and_wakes_no_one_is_noticed",
        "then Remove(i); end;",
        "then end;",
        "what is served is still wanted",
    );
}
