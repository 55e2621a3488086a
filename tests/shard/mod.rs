mod cycle; // bounded steps, all dead found
mod figures;
mod locks; // against a model that looks at everything
