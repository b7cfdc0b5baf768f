//! The WebAssembly engine and the limits of a call. Engine flag, deadline, ticker and limiter are set here together:
//! a limit that is armed in one place and ticked in another one is a limit that one day does nothing.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use wasmtime::component::Component;
use wasmtime::{
    Config, InstanceAllocationStrategy, OptLevel, PoolingAllocationConfig, ResourceLimiter, Store, UpdateDeadline,
};

use super::compiled::Compiled;
use crate::clock;

/// What one login may use. A login is one instance, or two where something was awaited between `open` and `decide`.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Wall time of an instance's calls together, in units of [`Limits::TICK`]; the current tick counts as one.
    ///
    /// # Defaults
    /// 50 ticks: half a second. The default policy takes a few microseconds, but this is wall time: on a busy machine a
    /// thread may be kept waiting for tens of milliseconds in the middle of a call, and that must keep no doctor out.
    pub ticks: u64,
    /// Linear memory, in bytes.
    ///
    /// # Defaults
    /// 2 MiB: twenty times what the default policy takes for the largest message.
    pub memory: usize,
    /// Elements of a table.
    ///
    /// # Defaults
    /// 4096.
    pub table: usize,
}

impl Limits {
    /// How often the epoch advances.
    pub const TICK: Duration = Duration::from_millis(10);
}

impl Default for Limits {
    fn default() -> Self {
        Self { ticks: 50, memory: 2 << 20, table: 4096 }
    }
}

/// Most instances at one moment. They live only while a thread computes, so this is far above the number of threads.
const INSTANCES: u32 = 64;

/// Bytes of a memory that are wiped in place after a call instead of being given back to the kernel: the whole memory
/// of the default policy (stack, data, heap).
const KEEP_RESIDENT: usize = 128 << 10;

/// The engine and its ticker, which ends with the engine's last user.
#[derive(Clone)]
pub struct Engine {
    inner: wasmtime::Engine,
    limits: Limits,
    compiled: Option<Arc<Compiled>>,
    background: bool,
}

impl Engine {
    /// Starts an engine.
    ///
    /// # Errors
    /// The platform can't run it, or the ticker thread can't be started.
    pub fn new(limits: Limits) -> wasmtime::Result<Self> {
        let inner = wasmtime::Engine::new(&configuration(limits))?;
        let weak = inner.weak();
        std::thread::Builder::new().name("policy-ticker".into()).spawn(move || {
            while let Some(engine) = weak.upgrade() {
                engine.increment_epoch();
                drop(engine);
                #[expect(clippy::disallowed_methods, reason = "the ticker is the one thread whose work is to wait")]
                std::thread::sleep(Limits::TICK);
            }
        })?;
        Ok(Self { inner, limits, compiled: None, background: false })
    }

    /// Keeps compiled components in `folder`, and takes them from there.
    #[must_use]
    pub fn keeping_compiled(mut self, folder: PathBuf) -> Self {
        self.compiled = Some(Arc::new(Compiled::new(folder, &self.inner)));
        self
    }

    /// The same for calls that no login waits for. Their time is that of the processor: a thread of low priority may
    /// stand still for seconds in the middle of a call, which says nothing of the policy.
    pub(super) fn in_background(&self) -> Self {
        Self { background: true, ..self.clone() }
    }

    #[cfg(test)]
    pub(super) fn compiled(&self) -> Option<&Compiled> {
        self.compiled.as_deref()
    }

    /// A component, compiled.
    pub(super) fn component(&self, wasm: &[u8]) -> wasmtime::Result<Component> {
        match &self.compiled {
            Some(compiled) => compiled.component(&self.inner, wasm),
            None => Component::from_binary(&self.inner, wasm),
        }
    }

    pub(super) const fn wasmtime(&self) -> &wasmtime::Engine {
        &self.inner
    }

    /// A store with every limit armed: memory, tables, instances, time.
    pub(super) fn store(&self) -> Store<Guard> {
        let mut store = Store::new(&self.inner, Guard { limits: self.limits, refused: false, memory: 0 });
        store.limiter(|guard| guard);
        store.set_epoch_deadline(self.limits.ticks);
        if self.background {
            let longest = Limits::TICK * u32::try_from(self.limits.ticks).unwrap_or(u32::MAX);
            let begun = clock::of_thread();
            store.epoch_deadline_callback(move |_| {
                let spent = clock::of_thread().saturating_sub(begun);
                Ok(if spent < longest { UpdateDeadline::Continue(1) } else { UpdateDeadline::Interrupt })
            });
        } else {
            store.epoch_deadline_trap();
        }
        store
    }
}

fn configuration(limits: Limits) -> Config {
    let mut pool = PoolingAllocationConfig::default();
    pool.total_component_instances(INSTANCES)
        .total_core_instances(4 * INSTANCES)
        .total_memories(INSTANCES)
        .total_tables(INSTANCES)
        .max_memories_per_component(1)
        .max_tables_per_component(1)
        .max_memory_size(limits.memory)
        .table_elements(limits.table)
        .linear_memory_keep_resident(KEEP_RESIDENT)
        .table_keep_resident(limits.table * size_of::<usize>());
    let mut config = Config::new();
    config
        .cranelift_opt_level(OptLevel::Speed)
        .epoch_interruption(true)
        .wasm_backtrace_max_frames(None)
        .max_wasm_stack(256 << 10)
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    config
}

/// Counts what an instance asks for, and remembers a refusal so that the trap which follows has its true name.
pub(super) struct Guard {
    limits: Limits,
    refused: bool,
    memory: usize,
}

impl Guard {
    pub(super) const fn refused(&self) -> bool {
        self.refused
    }

    /// Bytes of linear memory that were granted so far.
    pub(super) const fn memory(&self) -> usize {
        self.memory
    }
}

impl ResourceLimiter for Guard {
    fn memory_growing(&mut self, _current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        let granted = desired <= self.limits.memory;
        self.refused |= !granted;
        if granted {
            self.memory = self.memory.max(desired);
        }
        Ok(granted)
    }

    fn table_growing(&mut self, _current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        let granted = desired <= self.limits.table;
        self.refused |= !granted;
        Ok(granted)
    }
}
