// Package imageindex finds out on which architectures a container image runs:
// from OCI archives in a folder, else from a registry's index.
//
// # Contract
//
// Lookup tells everything that an image is there for, or why that is not known;
// it never guesses. Archives come first: they are what a site without a network
// is loaded from. A registry is asked only when the question allows it, with the
// credentials of the question alone, over HTTPS (HTTP on loopback and private
// addresses, as container runtimes do), for at most the time of Options.
//
// Answers are remembered: known ones for Options.Keep, failures for a short
// while, each by reference and credentials. Questions about the same image at
// the same time are one question. A folder is read again when a file of it
// changed.
//
// # Failures
//
// NotFound: the registry has no such image. Forbidden: it wants other
// credentials. Unavailable, Timeout: it did not answer. Unavailable without a
// registry asked: no archive holds the image. Credentials are in no error.
package imageindex
