mod basics;
mod golden;
mod runner;
