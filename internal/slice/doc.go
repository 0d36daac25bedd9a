// Package slice holds the nouns of the product: the IoT slice, its members
// (gateways, servers, microElements, microData, devices), what they are made of
// (products), where they can run (infrastructures and their nodes), whom they
// belong to (tenants) and their place among network slices. It knows no
// storage, no wire and no driver.
//
// # Overview
//
// Every noun is a Resource: a Meta (identity, owner, name, revision, times) and
// its own fields. JSON tags give the stored form, which uses the names of the
// public API (3GPP, ETSI and TM Forum spellings, odd ones included).
//
// # States
//
// A slice is DESIGNED (stored, nothing runs; TM Forum "designed", 3GPP
// LOCKED/DISABLED), ACTIVE (instantiated; "active", UNLOCKED/ENABLED), INACTIVE
// (instantiated, but a member is down or an operation failed halfway) or
// TERMINATED (nothing runs any more; DESIGNED again for a new instantiate is
// not a state of its own). A member is DESIGNED, ACTIVE, FAILED or ORPHANED
// (its site could not be reached when it was deleted).
//
// # Invariants
//
// Names are unique: a slice's within its tenant, a member's within its slice
// and kind, a node's within its infrastructure. A name is the key for converge.
// A gateway's Server names a server of the same slice; a device's Gateway a
// gateway of the same slice. Validate holds what one resource can say of
// itself; ValidateMembers what members say of each other.
//
// # Failures
//
// Validate, ValidateMembers and NESTToProfile answer one fault.Invalid that
// lists every wrong field (at most a hundred) by its path in the resource, with
// what was given and what is allowed. Credentials are never told back.
package slice
