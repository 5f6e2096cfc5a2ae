BEGIN TRANSACTION;
CREATE TABLE file_names (
	tenant VARCHAR NOT NULL, 
	name VARCHAR NOT NULL, 
	file_id VARCHAR NOT NULL, 
	PRIMARY KEY (tenant, name)
);
INSERT INTO "file_names" VALUES('acme','a','file-9bca5f357ca84a4e8e5e16517b48353b');
CREATE TABLE files (
	seq INTEGER NOT NULL, 
	id VARCHAR NOT NULL, 
	tenant VARCHAR NOT NULL, 
	filename VARCHAR NOT NULL, 
	purpose VARCHAR NOT NULL, 
	bytes BIGINT NOT NULL, 
	sha256 VARCHAR NOT NULL, 
	created_at FLOAT NOT NULL, 
	PRIMARY KEY (seq), 
	UNIQUE (id)
);
INSERT INTO "files" VALUES(1,'file-9bca5f357ca84a4e8e5e16517b48353b','acme','a.csv','train',11,'3d1efb1f982c7ceea409a3c9f189c2f423e724ac1df3454a5536427d01cd8fc7',1.79605732396390271182e+09);
INSERT INTO "files" VALUES(2,'file-131a025c045848d09c3c8a1391ca4a54','acme','b.csv','train',11,'3d1efb1f982c7ceea409a3c9f189c2f423e724ac1df3454a5536427d01cd8fc7',1.79605732397221064568e+09);
CREATE TABLE job_events (
	tenant VARCHAR NOT NULL, 
	job_id VARCHAR NOT NULL, 
	number INTEGER NOT NULL, 
	created_at FLOAT NOT NULL, 
	level VARCHAR NOT NULL, 
	code VARCHAR NOT NULL, 
	message VARCHAR NOT NULL, 
	data TEXT NOT NULL, 
	PRIMARY KEY (tenant, job_id, number), 
	FOREIGN KEY(job_id) REFERENCES jobs (id)
);
INSERT INTO "job_events" VALUES('acme','job-1',1,1.7960573239799997806e+09,'info','job.queued','The job is queued.','{}');
CREATE TABLE job_files (
	tenant VARCHAR NOT NULL, 
	job_id VARCHAR NOT NULL, 
	file_id VARCHAR NOT NULL, 
	PRIMARY KEY (tenant, job_id, file_id), 
	FOREIGN KEY(job_id) REFERENCES jobs (id)
);
INSERT INTO "job_files" VALUES('acme','job-1','file-9bca5f357ca84a4e8e5e16517b48353b');
CREATE TABLE jobs (
	seq INTEGER NOT NULL, 
	id VARCHAR NOT NULL, 
	tenant VARCHAR NOT NULL, 
	spec TEXT NOT NULL, 
	status VARCHAR NOT NULL, 
	phase VARCHAR NOT NULL, 
	progress FLOAT NOT NULL, 
	eta_s FLOAT, 
	created_at FLOAT NOT NULL, 
	finished_at FLOAT, 
	attempt INTEGER NOT NULL, 
	version INTEGER, 
	digest VARCHAR, 
	result TEXT NOT NULL, 
	error_code VARCHAR, 
	error_message VARCHAR, 
	revision INTEGER NOT NULL, 
	cancel_requested BOOLEAN NOT NULL, 
	pause_requested BOOLEAN NOT NULL, 
	worker VARCHAR, 
	token INTEGER NOT NULL, 
	lease_until FLOAT, 
	PRIMARY KEY (seq), 
	UNIQUE (id)
);
INSERT INTO "jobs" VALUES(1,'job-1','acme','{"tenant": "acme", "task": "mail", "file_id": "file-9bca5f357ca84a4e8e5e16517b48353b", "dev_file_id": null, "test_file_id": null, "head": "classify", "text_column": "text", "text_pair_column": null, "label_column": "label", "split_seed": 0, "promote": false, "kind": "lora", "pooling": "", "settings": {"epochs": 5, "batch_rows": 32, "learning_rate": null, "warmup_share": 0.06, "schedule": "linear", "weight_decay": 0.01, "max_grad_norm": 1.0, "dropout": 0.1, "head_dropout": 0.1, "head_learning_rate_scale": 1.0, "max_tokens": null, "label_smoothing": 0.0, "class_weights": null, "threshold": 0.5, "window": null, "stride": null, "rank": 8, "alpha": null, "rslora": false, "dora": false, "rank_pattern": null, "alpha_pattern": null, "lora_bias": false, "bias": null, "targets": null, "layers": "all", "variant": null, "reduction": null, "activation": null, "scaling": null, "feedforward": null, "preset": "balanced", "unfreeze": 0, "patience": 2, "seed": 0, "seeds": 1, "average_seeds": false, "initial_seed": null, "search": null, "learning_curve": false, "full_finetuning": false, "dev_share": 0.1, "test_share": 0.2}, "chosen": [], "metadata": {"k": "v"}, "suffix": "", "base": {}}','queued','waiting',0.0,NULL,1.79605732397368860245e+09,NULL,0,NULL,NULL,'{}',NULL,NULL,0,0,0,NULL,0,NULL);
CREATE INDEX ix_files_tenant ON files (tenant);
CREATE INDEX ix_file_names_file_id ON file_names (file_id);
CREATE INDEX ix_jobs_tenant ON jobs (tenant);
CREATE INDEX ix_jobs_status ON jobs (status);
CREATE INDEX ix_job_files_file_id ON job_files (file_id);
COMMIT;
PRAGMA user_version = 1;
