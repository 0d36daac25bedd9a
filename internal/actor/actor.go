// Package actor says who asks: the key a request came with, its role, the
// tenants it may act for, and the request's id. It travels in the context from
// the edge (rest, cli, the runner) to the use cases, which enforce it, and to
// the store, which writes it into the audit trail.
//
// # Invariants
//
// A context without an Actor is nobody: Of answers one that may do nothing.
// Only SystemAdmin and the service itself act for every tenant.
package actor

import (
	"context"
	"slices"

	"github.com/osmoslice/osmoslice/internal/slice"
)

// Actor is who asks.
type Actor struct {
	// Key is the id of the API key, or the name of a component of the service
	// ("runner", "assurance").
	Key string
	// Role is what the key may do; empty: nothing.
	Role slice.Role
	// Tenants the key acts for, by id; not read for SystemAdmin, who acts for
	// all.
	Tenants []string
	// RequestID names the request in answers, audit records and logs.
	RequestID string
}

type key struct{}

// With answers a context that carries a.
func With(ctx context.Context, a Actor) context.Context { return context.WithValue(ctx, key{}, a) }

// From answers the actor of ctx and whether there is one.
func From(ctx context.Context) (Actor, bool) {
	a, ok := ctx.Value(key{}).(Actor)
	return a, ok
}

// Of answers the actor of ctx; the zero Actor, who may do nothing, when there
// is none.
func Of(ctx context.Context) Actor {
	a, _ := From(ctx)
	return a
}

// Service is a component of the service acting by itself, for every tenant.
func Service(component string) Actor { return Actor{Key: component, Role: slice.SystemAdmin} }

// All reports whether a acts for every tenant.
func (a Actor) All() bool { return a.Role == slice.SystemAdmin }

// Acts reports whether a acts for a tenant.
func (a Actor) Acts(tenant string) bool {
	return a.All() || a.Role != "" && slices.Contains(a.Tenants, tenant)
}
