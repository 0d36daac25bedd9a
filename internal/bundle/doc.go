// Package bundle carries a slice's charts and images to a site without a network:
// one tar file that is made where everything is at hand, checked, and unpacked
// or pushed where it is needed.
//
// # Format
//
//	bundle.json             first: what is in it, with size and SHA-256 of every
//	                        other file
//	charts/<chart>/…        the charts' files
//	values/<element>.json   the values of each function, as far as the catalogue
//	                        knows them
//	images.tar              an OCI archive of the images that the charts name
//
// # Invariants
//
// Create leaves a whole file or none, and the same input gives the same bytes.
// Nothing of a bundle is used before all of it was read and found as bundle.json
// says; what bundle.json does not name is refused. Unpack leaves a whole folder
// or none. A bundle holds no secret: what the charts generate is generated at
// the site.
package bundle
