//! A trace of scheduling events that someone wrote, replayed through both schedulers.
#![no_main]

use giantvm_sched::das::{Das, Parameters};
use giantvm_sched::fair::Fair;
use giantvm_sched::trace::Trace;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(trace) = Trace::parse(&String::from_utf8_lossy(bytes)) {
        assert_eq!(Trace::parse(&trace.to_string()).as_ref(), Ok(&trace));
        let das = || Das::new(trace.machine().clone(), Parameters::default());
        assert_eq!(trace.replay(&mut das()), trace.replay(&mut das()));
        trace.replay(&mut Fair::new(trace.machine().clone()));
    }
});
