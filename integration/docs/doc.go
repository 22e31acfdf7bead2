// Package docs checks README.md, docs/ and examples/README.md against the code.
//
// Its tests compile every Go block and every line of the tables in the migration guides. They check
// that the targets and files which the documents name exist. They run the examples of the package
// documentation, and the commands for etcdctl, on real etcd.
package docs
