//! CPU, memory and context switches of processes, from `/proc`.
