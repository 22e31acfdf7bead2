// Package etcdjson is the JSON of etcd's HTTP gateway: snake_case, 64-bit numbers as strings, bytes
// as base64, zero fields left out.
//
// [Writer] makes the requests about keys and [Reader] reads their answers and the messages of a
// watch stream, at a tenth of the price of encoding/json. A Reader makes no lists: it
// calls a function for each key, event or answer of a transaction, and that function reads it.
// [Int64], [Uint64], [Bytes] and [Header] are for the other answers, which encoding/json reads.
package etcdjson
