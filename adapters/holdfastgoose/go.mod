module github.com/holdfast-go/holdfast/adapters/holdfastgoose

go 1.26.0

require github.com/holdfast-go/holdfast v0.1.0

require (
	github.com/cenkalti/backoff/v4 v4.3.0 // indirect
	github.com/google/uuid v1.6.0 // indirect
)
