// Package picture draws histories as SVG.
//
// A picture has a bar for each wait and each hold of a client along the time, the faults above
// them, and the times at which two clients held places that exclude each other.
package picture
