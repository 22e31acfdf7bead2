// Package etcdjson reads and writes the JSON of etcd's HTTP gateway: snake_case, 64-bit numbers as
// strings, bytes as base64, zero fields left out.
//
// # Usage
//
// [Writer] writes the requests about keys. [Reader] reads their answers, the messages of a watch
// stream and renewals. Both take about a tenth of the time of encoding/json. A Reader makes no
// lists: it calls a function for each key, event or answer of a transaction, and that function
// reads it. encoding/json reads all other answers, with [Int64], [Uint64], [Bytes] and [Header].
//
// # Concurrency
//
// A Writer or a Reader is not safe for concurrent use. The functions are.
package etcdjson
