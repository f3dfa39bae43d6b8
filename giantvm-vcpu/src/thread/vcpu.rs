//! A thread vCPU as its runner sees it.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;

use giantvm_core::{NodeId, VcpuId};

use super::cell::{Abandoned, Life, Next, panicked};
use super::cpu::{Start, ThreadCpu};
use super::host::Shared;
use crate::error::VcpuError;
use crate::exit::Exit;
use crate::host::{NotLeft, Vcpu};
use crate::state::{ArchState, StartState};

/// A vCPU of a [`ThreadHost`](super::ThreadHost).
#[derive(Debug)]
pub(super) struct ThreadVcpu {
    pub(super) id: VcpuId,
    pub(super) shared: Arc<Shared>,
}

impl ThreadVcpu {
    fn spawn(&self, life: Life, start: Start) -> Result<(), VcpuError> {
        let (id, shared) = (self.id, Arc::clone(&self.shared));
        let cpu = ThreadCpu {
            id,
            life,
            start,
            shared,
        };
        thread::Builder::new()
            .name(format!("vcpu {id}"))
            .spawn(move || live(&cpu))
            .map(|_| ())
            .map_err(|source| VcpuError::Os {
                operation: "starting a vCPU's thread",
                source,
            })
    }
}

/// One life of the program, from its start to its end.
fn live(cpu: &ThreadCpu) {
    let cell = cpu.shared.cell(cpu.id);
    if cell.begin(cpu.life).is_err() {
        return;
    }
    // Nothing of the program is used after a panic.
    let exit = match catch_unwind(AssertUnwindSafe(|| (cpu.shared.program)(cpu))) {
        Ok(()) => Exit::Finished,
        Err(payload) if payload.is::<Abandoned>() => return,
        Err(payload) => panicked(message(&*payload)),
    };
    cell.end(cpu.life, exit);
}

fn message(payload: &(dyn Any + Send)) -> String {
    let fixed = payload.downcast_ref::<&str>().copied();
    let built = payload.downcast_ref::<String>().map(String::as_str);
    fixed.or(built).unwrap_or("no message").to_owned()
}

const fn refused<T>(what: &'static str) -> Result<T, VcpuError> {
    let host = "a host of thread vCPUs";
    Err(VcpuError::Unsupported { host, what })
}

impl Vcpu for ThreadVcpu {
    fn id(&self) -> VcpuId {
        self.id
    }

    fn set_start(&mut self, start: &StartState) -> Result<(), VcpuError> {
        let start = match *start {
            StartState::LongMode {
                rip,
                rsp,
                cr3: _,
                rdi,
                rsi,
            } => Some(Start::Entry { rip, rsp, rdi, rsi }),
            StartState::WaitForSipi => None,
        };
        self.shared.cell(self.id).reset(start);
        Ok(())
    }

    fn run(&mut self) -> Result<Exit, VcpuError> {
        loop {
            match self.shared.cell(self.id).run() {
                Some(Next::Exit(exit)) => return Ok(exit),
                Some(Next::Start(life, start)) => self.spawn(life, start)?,
                None => return Err(VcpuError::AccessPending(self.id)),
            }
        }
    }

    fn finish_read(&mut self, value: u64) -> Result<(), VcpuError> {
        match self.shared.cell(self.id).answer(value) {
            true => Ok(()),
            false => Err(VcpuError::NoReadPending(self.id)),
        }
    }

    fn state(&mut self) -> Result<ArchState, VcpuError> {
        refused("tell a program's state, which is on its thread's stack")
    }

    fn set_state(&mut self, _: &ArchState) -> Result<(), VcpuError> {
        refused("set a program's state, which is on its thread's stack")
    }

    fn leave(self: Box<Self>, to: NodeId) -> Result<ArchState, NotLeft> {
        match self.shared.give_up(self.id, to) {
            Some(state) => Ok(state),
            None => {
                let error = VcpuError::Busy(self.id);
                Err(NotLeft { vcpu: self, error })
            }
        }
    }

    fn tsc_offset(&self) -> Result<i64, VcpuError> {
        refused("shift a time-stamp counter: programs read guest time")
    }

    fn set_tsc_offset(&mut self, _: i64) -> Result<(), VcpuError> {
        refused("shift a time-stamp counter: programs read guest time")
    }
}
