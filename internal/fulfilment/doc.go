// Package fulfilment holds the use cases of the service: what an order or a
// change means, how it becomes a lifecycle operation, how an operation becomes
// a plan of steps, and how a step is carried out through the domain and
// platform ports. One file per use case.
//
// # Overview
//
// A Service is called by the API's handlers. It checks who asks and whether the
// words make sense, and stores resources and, when something must happen in the
// world, an operation, in one transaction. It never waits for the world. The
// operation.Runner later asks the Executor (the same package's other face) to
// plan the operation and to carry out its steps.
//
// Every mutating use case takes Options. With DryRun it runs the very same code
// in a transaction that is thrown away, plans the operation that it would have
// started, and answers the Preview.
//
// # Planning
//
// Plan is pure: a Situation (desired members, what is recorded as deployed,
// products, places, the placement decision) in, a DAG of steps out. Servers are
// applied beside gateways; connections follow the server, attachments follow
// both ends; devices are provisioned in batches per gateway; microElements
// follow the members they feed on. What already is as desired gets no step.
// Capacity is deducted in the transaction that saves the plan and given back
// when a delete is proven; what could not be deleted keeps its capacity and
// leaves a tombstone.
//
// A placement may be kept before it is ordered, with what it relied on and, as a
// reservation, with what it needs deducted. An operation that was ordered by it
// gets exactly that plan, or an error that says what changed. Links are deducted
// beside nodes: during an operation a slice holds the more of what it had and
// what it will need, afterwards what its installed members use.
//
// # Tenancy
//
// The actor of the context decides. What belongs to another tenant answers
// exactly as what does not exist. Viewers read; operators and above change
// slices; admins manage keys of their tenant; only a system-admin manages
// tenants, system infrastructures and the shared catalogue.
//
// # Invariants
//
// Only the Executor calls drivers and products. A release is named for ever:
// the slice's uid, the element's and the operation's are in it. An element's
// Run is set in the transaction that stores the intent to install it and
// cleared only when its removal is proven or taken over by a tombstone, so that
// whatever may exist at a site is known. Steps, results, causes and logs hold
// references to secrets, never values.
//
// # Failures
//
// All errors are fault.Error values: Invalid names the field, what was given
// and what is allowed; Conflict names the open operation in Instance; a foreign
// or absent resource is NotFound.
package fulfilment
