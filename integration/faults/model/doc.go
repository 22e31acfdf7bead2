// Package model searches the histories of the recipes for an order in which one program alone could have made all calls:
// the second opinion beside package history, which trusts the revisions that etcd gives. It looks only at when calls were
// made and returned, and at what they returned. The log decides no more than which of the calls of unknown fate to count.
package model
