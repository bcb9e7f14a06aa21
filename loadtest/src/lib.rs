//! Open-loop, escalating load against gRPC services: two or more targets on one schedule, one report.
//!
//! From the outside in: [`cli`] records what was asked, [`scenario`] says what is sent and what must hold, [`topology`]
//! starts the servers, [`run`] drives windows of load through a [`generator`] per target in the order that [`plan`]
//! decides, [`process`] accounts for what the servers used, and [`report`] tells it. [`traffic`] and [`measure`] are the
//! words that all of them share; [`capture`] and [`record`] write and replay real traffic.

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
