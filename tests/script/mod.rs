mod basics;
mod functions;
mod golden;
mod runner;
