package etcdproc

import (
	"fmt"
	"time"
)

// Options configure a cluster. The zero value is one plain member of DefaultVersion with etcd's own
// defaults. Start copies them.
type Options struct {
	// Version of etcd, such as "3.5". Default DefaultVersion.
	Version string
	// Members is the size of the cluster. Default 1.
	Members int

	// TLS makes the members serve their clients over TLS. Traffic between members is plain.
	TLS bool
	// ClientCertAuth makes the members require a client certificate. It implies TLS.
	ClientCertAuth bool
	// ServerCommonName is the common name of the server certificate. The default is none, because
	// etcd may use it as the name of a user.
	ServerCommonName string
	// ServerAuthOnly makes the server certificate invalid for a client. The gateway uses it as a
	// client of etcd, so with ClientCertAuth the gateway serves nothing.
	ServerAuthOnly bool

	// RootPassword is the password of the user root. If it is not empty, Start enables
	// authentication.
	RootPassword string
	// AuthTokenTTL is the time after which an unused token expires, in whole seconds. Default
	// etcd's 5 minutes.
	AuthTokenTTL time.Duration

	// HeartbeatInterval and ElectionTimeout are the timing of raft. Default
	// etcd's 100 ms and 1 s.
	HeartbeatInterval time.Duration
	ElectionTimeout   time.Duration
	// ElectionTimeouts are the election timeouts of the members, one for each, if they differ.
	ElectionTimeouts []time.Duration

	// HTTPPort gives the gateway a port of its own, which is the one in Member.Endpoint. The port
	// that members advertise then serves gRPC only. It needs etcd 3.5.8.
	HTTPPort bool
	// ExtraClientURLs are further URLs to serve, such as socket files or other addresses. The
	// cluster must have one member.
	ExtraClientURLs []string
	// PeerLinks connects the members to each other through proxies, which Cluster.Cut and
	// Cluster.Isolate need.
	PeerLinks bool

	// UnsafeNoFsync makes the members not wait for their disks. Data survives the end of a process
	// but not a failure of the machine, which is enough for a test.
	UnsafeNoFsync bool
	// ExtraArgs are added at the end of each member's command line.
	ExtraArgs []string

	// Dir is the directory for data, logs and certificates. Default is a temporary directory that
	// Close removes.
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
		return o, fmt.Errorf("%d election timeouts for %d members", len(o.ElectionTimeouts),
			o.Members)
	}
	o.TLS = o.TLS || o.ClientCertAuth
	return o, nil
}
