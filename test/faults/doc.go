// Package faults kills the light gateway and the light server at random while
// real devices send, and then accounts for every reading. It runs the real
// binaries as processes of their own.
package faults
