//! Load tests of gRPC services: two or more targets get the same schedule of requests, at rising rates, and one report
//! compares them.
//!
//! The parts, from the outside in: [`cli`] reads the command line. [`scenario`] says what is sent and what must hold.
//! [`topology`] starts the servers. [`run`] drives windows of load through one [`generator`] per target, in the order
//! that [`plan`] decides. [`process`] measures what the servers used, and [`report`] draws the conclusions. All of them
//! share the types of [`traffic`] and [`measure`]. [`record`] and [`capture`] record real traffic and replay it.

pub mod app;
pub mod arrivals;
pub mod capture;
pub mod cli;
pub mod compare;
pub mod error;
pub mod generator;
pub mod http2;
pub mod ids;
pub mod measure;
pub mod plan;
pub mod process;
pub mod record;
pub mod report;
pub mod run;
pub mod scenario;
pub mod terminal;
pub mod topology;
pub mod traffic;
pub mod workload;
