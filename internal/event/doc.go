// Package event brings changes to those who want to hear of them: a live stream
// (Server-Sent Events) and webhooks.
//
// # Overview
//
// The store writes an event in the transaction of every change (the outbox). A
// Sequencer gives positions after the commit, because transactions do not
// commit in the order in which they began; positions have no gaps and never
// become visible late. A Hub reads events once and serves them to any number of
// streams, each with its own cursor. Webhooks posts them to subscriptions.
//
// # States
//
// A stream is live until its reader leaves, is too slow for Patience, or its
// position is no longer kept; Err says which, Position where to resume. A
// subscription is ACTIVE, or INACTIVE with its cause when deliveries failed for
// longer than GiveUp or the receiver answered 410.
//
// # Invariants
//
//   - A reader that resumes by position misses nothing and hears nothing twice.
//   - Webhooks deliver at least once and in order: an event is posted after the
//     one before it was accepted.
//   - A tenant's streams and subscriptions hear of its own resources only; those
//     of the owner "system" hear of all.
//   - Nothing is posted to loopback, link-local, private or otherwise special
//     addresses unless allowed: the address is checked when it is dialled, after
//     name resolution; redirects and proxies are not followed.
//   - Credentials are resolved for a delivery, are in no log and no cause, and
//     what a receiver answers is not kept.
//
// # Failures
//
// A position no longer kept is fault.Gone. A receiver that fails is tried again
// with growing, jittered pauses.
package event
