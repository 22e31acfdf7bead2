// Package docs checks README.md, docs/ and examples/README.md against the code.
//
// Its tests compile every Go block and every line of the tables in the migration guides. They check
// that the targets and files which the documents name exist. They run the examples of the package
// documentation, the commands for etcdctl, and all steps of docs/tutorial.md and docs/howto, on
// real etcd, and compare their output with the pages.
package docs
