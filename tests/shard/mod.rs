mod blocks; // MULTI on one shard
mod cycle;
mod effects; // bounded steps, all dead found
mod figures;
mod key_costs; // which keys take most
mod locks;
mod long_draws; // members drawn, in pieces
mod long_reads; // replies in pieces
mod long_stores; // what is stored, made bit by bit
mod memory; // one limit over several shards
mod put_off; // what cannot be served yet, by what is in the way
mod requests; // who waits for whom, and what is said of it // against a model that looks at everything
mod seize; // locks a script takes while it runs
mod told; // what clients were told, for the replies in pieces
mod type_sample; // how many keys of which size
mod waiting; // who is served, in which order, and when not yet
mod watches; // what touches a watched key
