-- Every noun lives in one table; what can be filtered is a column. ref, class
-- and place hold attributes that differ by kind (see codec.go).
CREATE TABLE resources (
	id         {key} PRIMARY KEY,
	kind       {key} NOT NULL,
	tenant     {key} NOT NULL,
	parent     {key} NOT NULL,
	name       {key} NOT NULL,
	version    {key} NOT NULL,
	state      {key} NOT NULL,
	ref        {key} NOT NULL,
	class      {key} NOT NULL,
	place      {key} NOT NULL,
	revision   BIGINT NOT NULL,
	created_at BIGINT NOT NULL,
	updated_at BIGINT NOT NULL,
	doc        TEXT NOT NULL
);
CREATE UNIQUE INDEX resources_name ON resources (kind, name, parent, tenant, version);
CREATE INDEX resources_kind ON resources (kind, id);
CREATE INDEX resources_tenant ON resources (kind, tenant, id);
CREATE INDEX resources_tenant_state ON resources (kind, tenant, state, id);
CREATE INDEX resources_state ON resources (kind, state, id) WHERE state <> '';
CREATE INDEX resources_parent ON resources (kind, parent, id) WHERE parent <> '';
CREATE INDEX resources_parent_state ON resources (kind, parent, state, id) WHERE parent <> '';
CREATE INDEX resources_parent_ref ON resources (kind, parent, ref, id) WHERE parent <> '';
CREATE INDEX resources_ref ON resources (kind, ref, id) WHERE ref <> '';
CREATE INDEX resources_class ON resources (kind, class, id) WHERE class <> '';
CREATE INDEX resources_place ON resources (kind, place, id) WHERE place <> '';

-- Hashes of API keys, apart from the readable part.
CREATE TABLE key_hashes (
	hash {key} PRIMARY KEY,
	id   {key} NOT NULL UNIQUE
);

-- Numbers that only grow. On PostgreSQL fences come from a sequence instead.
CREATE TABLE counters (
	name  {key} PRIMARY KEY,
	value BIGINT NOT NULL
);
INSERT INTO counters (name, value) VALUES ('events', 0), ('fence', 0), ('positions', 0);

-- What the placer's picture of the world must hear of: one row for each
-- infrastructure, node and link, living or removed.
CREATE TABLE topology (
	id       {key} PRIMARY KEY,
	kind     {key} NOT NULL,
	position BIGINT NOT NULL,
	removed  SMALLINT NOT NULL
);
CREATE INDEX topology_position ON topology (position);

CREATE TABLE operations (
	id          {key} PRIMARY KEY,
	tenant      {key} NOT NULL,
	slice       {key} NOT NULL,
	type        {key} NOT NULL,
	cause       {key} NOT NULL,
	state       {key} NOT NULL,
	open        SMALLINT NOT NULL,
	schema      BIGINT NOT NULL,
	revision    BIGINT NOT NULL,
	fence       BIGINT NOT NULL,
	owner       {key} NOT NULL,
	lease_until BIGINT NOT NULL,
	wake_at     BIGINT NOT NULL,
	started_at  BIGINT NOT NULL,
	finished_at BIGINT NOT NULL,
	doc         TEXT NOT NULL
);
CREATE UNIQUE INDEX operations_one_open ON operations (slice) WHERE open = 1 AND slice <> '';
CREATE INDEX operations_due ON operations (wake_at, id) WHERE open = 1;
CREATE INDEX operations_owner ON operations (owner) WHERE open = 1;
CREATE INDEX operations_finished ON operations (finished_at) WHERE open = 0;
CREATE INDEX operations_tenant ON operations (tenant, id);
CREATE INDEX operations_tenant_state ON operations (tenant, state, id);
CREATE INDEX operations_slice ON operations (slice, id);
CREATE INDEX operations_state ON operations (state, id);
CREATE INDEX operations_type ON operations (type, id);

CREATE TABLE signals (
	seq       {serial},
	operation {key} NOT NULL,
	verb      TEXT NOT NULL,
	mode      TEXT NOT NULL,
	actor     TEXT NOT NULL,
	at        BIGINT NOT NULL
);
CREATE INDEX signals_operation ON signals (operation);

CREATE TABLE decisions (
	operation {key} PRIMARY KEY,
	slice     {key} NOT NULL,
	doc       TEXT NOT NULL
);
CREATE INDEX decisions_slice ON decisions (slice);

-- What is deducted from each node by everyone. Rows are never removed.
CREATE TABLE ledger (
	node     {key} PRIMARY KEY,
	cpu      BIGINT NOT NULL,
	memory   BIGINT NOT NULL,
	storage  BIGINT NOT NULL,
	version  BIGINT NOT NULL,
	position BIGINT NOT NULL
);
CREATE INDEX ledger_position ON ledger (position);

CREATE TABLE tombstones (
	id             {key} PRIMARY KEY,
	infrastructure {key} NOT NULL,
	next_at        BIGINT NOT NULL,
	doc            TEXT NOT NULL
);
CREATE INDEX tombstones_due ON tombstones (next_at, id);
CREATE INDEX tombstones_infrastructure ON tombstones (infrastructure, next_at, id);

CREATE TABLE audit (
	seq       {serial},
	at        BIGINT NOT NULL,
	tenant    {key} NOT NULL,
	actor     {key} NOT NULL,
	action    {key} NOT NULL,
	kind      {key} NOT NULL,
	resource  {key} NOT NULL,
	name      TEXT NOT NULL,
	doc       TEXT NOT NULL,
	before    TEXT NOT NULL,
	after     TEXT NOT NULL
);
CREATE INDEX audit_tenant ON audit (tenant, seq);
CREATE INDEX audit_resource ON audit (resource, seq);
CREATE INDEX audit_actor ON audit (actor, seq);
CREATE INDEX audit_at ON audit (at);

-- The outbox: position is given by the sequencer after the commit.
CREATE TABLE events (
	seq      {serial},
	position BIGINT UNIQUE,
	at       BIGINT NOT NULL,
	tenant   {key} NOT NULL,
	doc      TEXT NOT NULL
);
CREATE INDEX events_waiting ON events (seq) WHERE position IS NULL;
CREATE INDEX events_at ON events (at);

CREATE TABLE idempotency (
	tenant     {key} NOT NULL,
	key        {key} NOT NULL,
	hash       TEXT NOT NULL,
	done       SMALLINT NOT NULL,
	until      BIGINT NOT NULL,
	status     BIGINT NOT NULL,
	header     TEXT NOT NULL,
	body       {blob},
	created_at BIGINT NOT NULL,
	PRIMARY KEY (tenant, key)
);
CREATE INDEX idempotency_created ON idempotency (created_at);

-- One holder at a time for each of the service's background duties.
CREATE TABLE leases (
	name  {key} PRIMARY KEY,
	owner {key} NOT NULL,
	until BIGINT NOT NULL
);

-- Secret values, encrypted; see package secret.
CREATE TABLE secret_values (
	secret      {key} NOT NULL,
	version     BIGINT NOT NULL,
	tenant      {key} NOT NULL,
	key_id      {key} NOT NULL,
	wrapped_key {blob} NOT NULL,
	ciphertext  {blob} NOT NULL,
	PRIMARY KEY (secret, version)
);
CREATE INDEX secret_values_key ON secret_values (key_id);

-- Audit records are only ever added; retention says so first, in the same
-- transaction, by a row here that it takes away again.
CREATE TABLE audit_retention (before BIGINT NOT NULL);
