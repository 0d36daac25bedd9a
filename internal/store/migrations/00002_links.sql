-- What is given out of each ordered pair of nodes by everyone, and of it what
-- each holder has: a slice, a placement with a reservation, a tombstone. Rows
-- of link_ledger are never removed.
CREATE TABLE link_ledger (
	from_node {key} NOT NULL,
	to_node   {key} NOT NULL,
	kbit      BIGINT NOT NULL,
	version   BIGINT NOT NULL,
	position  BIGINT NOT NULL,
	PRIMARY KEY (from_node, to_node)
);
CREATE INDEX link_ledger_position ON link_ledger (position);
CREATE TABLE link_holdings (
	holder    {key} NOT NULL,
	from_node {key} NOT NULL,
	to_node   {key} NOT NULL,
	kbit      BIGINT NOT NULL,
	PRIMARY KEY (holder, from_node, to_node)
);

-- What has to be looked at at a time, by the database's clock.
CREATE TABLE deadlines (
	id {key} PRIMARY KEY,
	at BIGINT NOT NULL
);
CREATE INDEX deadlines_at ON deadlines (at, id);
