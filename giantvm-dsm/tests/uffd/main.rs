//! Userfaultfd for real: the kernel's behaviour that this crate rests on, the backings, the views.

mod backing;
mod facts;
mod kvm;
mod raw;
mod region;
mod support;
mod view;
