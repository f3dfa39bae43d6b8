//! The exact commands of every kind of transaction, and what is refused.
