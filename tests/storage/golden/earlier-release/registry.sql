BEGIN TRANSACTION;
CREATE TABLE alias (
	tenant VARCHAR(64) NOT NULL, 
	task VARCHAR(64) NOT NULL, 
	name VARCHAR(64) NOT NULL, 
	version INTEGER NOT NULL, 
	moved_at DOUBLE NOT NULL, 
	PRIMARY KEY (tenant, task, name), 
	FOREIGN KEY(tenant, task, version) REFERENCES version (tenant, task, number)
);
INSERT INTO "alias" VALUES('acme','mail','production',2,1.7960573238881692886e+09);
INSERT INTO "alias" VALUES('acme','other','production',1,1.79605732392141485215e+09);
CREATE TABLE alias_event (
	tenant VARCHAR(64) NOT NULL, 
	task VARCHAR(64) NOT NULL, 
	alias VARCHAR(64) NOT NULL, 
	sequence INTEGER NOT NULL, 
	action VARCHAR(16) NOT NULL, 
	previous INTEGER, 
	version INTEGER NOT NULL, 
	at DOUBLE NOT NULL, 
	PRIMARY KEY (tenant, task, alias, sequence)
);
INSERT INTO "alias_event" VALUES('acme','mail','production',1,'publish',NULL,1,1.79605732384230518342e+09);
INSERT INTO "alias_event" VALUES('acme','mail','production',2,'promote',1,2,1.7960573238881692886e+09);
INSERT INTO "alias_event" VALUES('acme','other','production',1,'publish',NULL,1,1.79605732392141485215e+09);
CREATE TABLE alias_reason (
	tenant VARCHAR(64) NOT NULL, 
	task VARCHAR(64) NOT NULL, 
	alias VARCHAR(64) NOT NULL, 
	sequence INTEGER NOT NULL, 
	reason VARCHAR(1000) NOT NULL, 
	PRIMARY KEY (tenant, task, alias, sequence)
);
INSERT INTO "alias_reason" VALUES('acme','mail','production',2,'because');
CREATE TABLE publication (
	tenant VARCHAR(64) NOT NULL, 
	fence VARCHAR(128) NOT NULL, 
	task VARCHAR(64) NOT NULL, 
	number INTEGER NOT NULL, 
	PRIMARY KEY (tenant, fence)
);
CREATE TABLE task (
	tenant VARCHAR(64) NOT NULL, 
	name VARCHAR(64) NOT NULL, 
	next_number INTEGER NOT NULL, 
	created_at DOUBLE NOT NULL, 
	deleted BOOLEAN NOT NULL, 
	PRIMARY KEY (tenant, name)
);
INSERT INTO "task" VALUES('acme','mail',3,1.79605732383761143686e+09,0);
INSERT INTO "task" VALUES('acme','other',2,1.79605732391793632509e+09,0);
CREATE TABLE task_change (
	tenant VARCHAR(64) NOT NULL, 
	task VARCHAR(64) NOT NULL, 
	sequence INTEGER NOT NULL, 
	PRIMARY KEY (tenant, task)
);
INSERT INTO "task_change" VALUES('acme','mail',3);
INSERT INTO "task_change" VALUES('acme','other',4);
CREATE TABLE version (
	tenant VARCHAR(64) NOT NULL, 
	task VARCHAR(64) NOT NULL, 
	number INTEGER NOT NULL, 
	digest VARCHAR(64) NOT NULL, 
	base_fingerprint TEXT NOT NULL, 
	manifest TEXT NOT NULL, 
	lineage TEXT NOT NULL, 
	source TEXT NOT NULL, 
	num_parameters BIGINT NOT NULL, 
	num_bytes BIGINT NOT NULL, 
	created_at DOUBLE NOT NULL, 
	PRIMARY KEY (tenant, task, number), 
	UNIQUE (tenant, task, digest), 
	FOREIGN KEY(tenant, task) REFERENCES task (tenant, name)
);
INSERT INTO "version" VALUES('acme','mail',1,'cd785803885aeef157fd937986c176fcc4a22ff48a1d9e041c359d45e526a710','base-1','{"base":{"fingerprint":"base-1","name":"toy"},"files":[{"path":"adapter_model.safetensors","role":"adapter","sha256":"ff6016260ac4c3ccaf226bd5f3ccad4bf9a9f719619b4541c776c45b538f6b77","size":320},{"path":"adapter_config.json","role":"config","sha256":"f8d69c1c6390dc308b6fd20c4d0dae3b7abb696a502203ffc9bf46d4b9e26132","size":75}],"kind":"lora","schema":1,"semantics":{"rank":2}}','{}','upload',16,395,1.79605732383761143686e+09);
INSERT INTO "version" VALUES('acme','mail',2,'23474a208f7e96490dcf79090f69e6d25bbc8101699a1bafde7a2b9276b95f09','base-1','{"base":{"fingerprint":"base-1","name":"toy"},"files":[{"path":"adapter_model.safetensors","role":"adapter","sha256":"416591adb1c0288a5ca3545eeb96f497104cd06082b4bb50e82acb8c7ceaa537","size":320},{"path":"adapter_config.json","role":"config","sha256":"f8d69c1c6390dc308b6fd20c4d0dae3b7abb696a502203ffc9bf46d4b9e26132","size":75}],"kind":"lora","schema":1,"semantics":{"rank":2}}','{}','upload',16,395,1.79605732388238787649e+09);
INSERT INTO "version" VALUES('acme','other',1,'cd785803885aeef157fd937986c176fcc4a22ff48a1d9e041c359d45e526a710','base-1','{"base":{"fingerprint":"base-1","name":"toy"},"files":[{"path":"adapter_model.safetensors","role":"adapter","sha256":"ff6016260ac4c3ccaf226bd5f3ccad4bf9a9f719619b4541c776c45b538f6b77","size":320},{"path":"adapter_config.json","role":"config","sha256":"f8d69c1c6390dc308b6fd20c4d0dae3b7abb696a502203ffc9bf46d4b9e26132","size":75}],"kind":"lora","schema":1,"semantics":{"rank":2}}','{}','upload',16,395,1.79605732391793632509e+09);
CREATE TABLE version_file (
	tenant VARCHAR(64) NOT NULL, 
	task VARCHAR(64) NOT NULL, 
	number INTEGER NOT NULL, 
	role VARCHAR(64) NOT NULL, 
	sha256 VARCHAR(64) NOT NULL, 
	PRIMARY KEY (tenant, task, number, role), 
	FOREIGN KEY(tenant, task, number) REFERENCES version (tenant, task, number) ON DELETE CASCADE
);
INSERT INTO "version_file" VALUES('acme','mail',1,'adapter','ff6016260ac4c3ccaf226bd5f3ccad4bf9a9f719619b4541c776c45b538f6b77');
INSERT INTO "version_file" VALUES('acme','mail',1,'config','f8d69c1c6390dc308b6fd20c4d0dae3b7abb696a502203ffc9bf46d4b9e26132');
INSERT INTO "version_file" VALUES('acme','mail',2,'adapter','416591adb1c0288a5ca3545eeb96f497104cd06082b4bb50e82acb8c7ceaa537');
INSERT INTO "version_file" VALUES('acme','mail',2,'config','f8d69c1c6390dc308b6fd20c4d0dae3b7abb696a502203ffc9bf46d4b9e26132');
INSERT INTO "version_file" VALUES('acme','other',1,'adapter','ff6016260ac4c3ccaf226bd5f3ccad4bf9a9f719619b4541c776c45b538f6b77');
INSERT INTO "version_file" VALUES('acme','other',1,'config','f8d69c1c6390dc308b6fd20c4d0dae3b7abb696a502203ffc9bf46d4b9e26132');
INSERT INTO "version_file" VALUES('acme','other',1,'beside.report','015abd7f5cc57a2dd94b7590f04ad8084273905ee33ec5cebeae62276a97f862');
CREATE UNIQUE INDEX task_change_by_sequence ON task_change (sequence);
CREATE INDEX ix_version_base_fingerprint ON version (base_fingerprint);
CREATE INDEX version_by_digest ON version (digest);
CREATE INDEX version_file_by_content ON version_file (sha256);
CREATE TRIGGER alias_insert_numbers AFTER INSERT ON alias BEGIN INSERT INTO task_change VALUES (NEW.tenant, NEW.task, (SELECT coalesce(max(sequence), 0) + 1 FROM task_change)) ON CONFLICT (tenant, task) DO UPDATE SET sequence = excluded.sequence; END;
CREATE TRIGGER alias_update_numbers AFTER UPDATE ON alias BEGIN INSERT INTO task_change VALUES (NEW.tenant, NEW.task, (SELECT coalesce(max(sequence), 0) + 1 FROM task_change)) ON CONFLICT (tenant, task) DO UPDATE SET sequence = excluded.sequence; END;
CREATE TRIGGER alias_delete_numbers AFTER DELETE ON alias BEGIN INSERT INTO task_change VALUES (OLD.tenant, OLD.task, (SELECT coalesce(max(sequence), 0) + 1 FROM task_change)) ON CONFLICT (tenant, task) DO UPDATE SET sequence = excluded.sequence; END;
CREATE TRIGGER version_delete_numbers AFTER DELETE ON version BEGIN INSERT INTO task_change VALUES (OLD.tenant, OLD.task, (SELECT coalesce(max(sequence), 0) + 1 FROM task_change)) ON CONFLICT (tenant, task) DO UPDATE SET sequence = excluded.sequence; END;
COMMIT;
PRAGMA user_version = 1;
