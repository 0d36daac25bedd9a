// Package oci makes container images from files without a container runtime, a
// base image or a registry, and reads and writes OCI archives: tar files of an
// OCI image layout, which "ctr images import", "docker load" (from 25), "podman
// load" and this package take.
//
// # Contract
//
// Build is reproducible: the same Spec and the same files give the same digest,
// on any machine, at any time. Nothing is in an image that its Spec does not
// name.
//
// An archive holds any number of images under their full names (registry,
// repository and tag: docker.io/osmoslice/lite-gateway:1.2.0), each an index
// over its platforms. WriteArchive leaves a whole file or none. OpenArchive
// reads names, platforms and blobs in place; nothing is unpacked. A blob whose
// content does not match its digest is refused when it is read.
//
// Every error names the file, image or blob it is about.
package oci
