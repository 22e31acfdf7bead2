package shard

import "github.com/holdfast-go/holdfast/gateway"

func kvOf(value []byte) []gateway.KeyValue { return []gateway.KeyValue{{Value: value}} }
