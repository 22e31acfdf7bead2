package etcdproc

import (
	"fmt"
	"time"
)

// Options describe a cluster. The zero value is one plain member of
// DefaultVersion with etcd's own defaults.
type Options struct {
	// Version of etcd, such as "3.5". Default DefaultVersion.
	Version string
	// Members is the size of the cluster. Default 1.
	Members int

	// TLS makes the members serve their clients over TLS. Peers talk plainly.
	TLS bool
	// ClientCertAuth makes the members ask for a client certificate; it implies
	// TLS.
	ClientCertAuth bool
	// ServerCommonName is the common name of the server certificate. The
	// default is none, since etcd may take it for the name of a user.
	ServerCommonName string
	// ServerAuthOnly makes the server certificate no good for a client, which
	// etcd's gateway is when it calls etcd. With ClientCertAuth the gateway
	// serves nothing then.
	ServerAuthOnly bool

	// RootPassword, if not empty, is the password of the user root; the cluster
	// is started with authentication on.
	RootPassword string
	// AuthTokenTTL is how long an unused token lives, in whole seconds. Default
	// etcd's 5 minutes.
	AuthTokenTTL time.Duration

	// HeartbeatInterval and ElectionTimeout are the timing of raft. Default
	// etcd's 100 ms and 1 s.
	HeartbeatInterval time.Duration
	ElectionTimeout   time.Duration
	// ElectionTimeouts are those of the single members, where they differ.
	ElectionTimeouts []time.Duration

	// HTTPPort gives the gateway a port of its own, which Member.Endpoint names;
	// the port that members advertise serves gRPC alone. Since etcd 3.5.8.
	HTTPPort bool
	// ExtraClientURLs are served besides the members' own, for a cluster of one:
	// socket files, other addresses.
	ExtraClientURLs []string
	// PeerLinks makes the members talk to each other through proxies, so that
	// Cluster.Cut and Cluster.Isolate work.
	PeerLinks bool

	// UnsafeNoFsync makes the members not wait for their disks. Data survives
	// the death of a process but not that of the machine, which is all a test
	// asks for.
	UnsafeNoFsync bool
	// ExtraArgs come last on each member's command line.
	ExtraArgs []string

	// Dir keeps data, logs and certificates. Default is a temporary directory
	// that Close removes.
	Dir string
}

func (o Options) withDefaults() (Options, error) {
	if o.Version == "" {
		o.Version = DefaultVersion
	}
	if o.Members == 0 {
		o.Members = 1
	}
	if o.Members < 0 {
		return o, fmt.Errorf("a cluster of %d members", o.Members)
	}
	if o.AuthTokenTTL%time.Second != 0 {
		return o, fmt.Errorf("AuthTokenTTL %v is not a whole number of seconds", o.AuthTokenTTL)
	}
	if len(o.ExtraClientURLs) > 0 && o.Members > 1 {
		return o, fmt.Errorf("%d members cannot share the URLs %v", o.Members, o.ExtraClientURLs)
	}
	if len(o.ElectionTimeouts) > 0 && len(o.ElectionTimeouts) != o.Members {
		return o, fmt.Errorf("%d election timeouts for %d members", len(o.ElectionTimeouts), o.Members)
	}
	o.TLS = o.TLS || o.ClientCertAuth
	return o, nil
}
