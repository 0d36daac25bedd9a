// Package rest is the northbound API: it implements what go-swagger generates
// from swagger.yaml on the use cases of package fulfilment.
//
// # Overview
//
// New wires everything and answers one http.Handler for /iotslice/v1,
// /swagger.json and /docs. A request passes, from the outside in:
//
//	edge     recovers, names the request, refuses tokens in the URL, unknown
//	         versions and bytes that no field may hold
//	router   (generated) finds the operation, or 404, 405
//	guard    authenticates the bearer key, limits its rate, checks scopes,
//	         reads the bounded body, keeps Idempotency-Keys
//	binder   (generated) negotiates types and validates parameters and body;
//	         package shape checks names and types of the body first
//	handler  one file per tag: maps to nouns, calls a use case, answers
//
// # Mapping
//
// The nouns' JSON names are the public names. A body is therefore decoded twice
// from the same bytes: into the generated model, which validates it, and into
// the noun. Answers are the noun's JSON. The tests of each tag hold both
// directions to the models. Operations are mapped by hand (lcmopoccs.go): their
// stored form says more than the public one.
//
// # Invariants
//
// Every error is a Problem (RFC 7807) with status and detail, made in
// problem.go from the one table of package fault; bad input names its fields.
// What belongs to another tenant answers like what does not exist. Tokens,
// secret values and causes of internal failures are in no answer but the one
// that tells a new key or credential, and in no kept answer.
//
// # Failures
//
// A handler that panics answers 500 and the service goes on. An answer that was
// lost on its way can be asked for again with the same Idempotency-Key.
package rest
