// Package docs holds README.md and docs/ to the code: its tests compile every block of Go and every line of the tables
// that lead from other clients here, look for the targets and files that are named, and run the examples of the package
// documentation on real etcd.
package docs
