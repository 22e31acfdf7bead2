// Package picture draws histories: what each client did as bars along the time, the fault above them, and where two held
// what excludes the other.
package picture
