package gateway_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-go/holdfast/gateway"
	"github.com/holdfast-go/holdfast/integration/etcdtest"
	"github.com/holdfast-go/holdfast/integration/recipetest"
)

// TestACertificateThatIsNotForClientsIsReported: etcd's gateway calls etcd with the server's
// certificate. With --client-cert-auth, etcd rejects a certificate that is not valid for clients,
// so no call is served. Each call must return an error at once that names the cause, and no write
// is in doubt.
func TestACertificateThatIsNotForClientsIsReported(t *testing.T) {
	etcdtest.ForEachVersion(t, func(t *testing.T, version string) {
		o := *recipetest.Server(version)
		o.ClientCertAuth, o.ServerAuthOnly = true, true
		c := etcdtest.Start(t, &o)
		client := newClient(t, gateway.Config{Endpoints: c.Endpoints(), TLS: c.PKI().ClientTLS("")})
		ctx := within(t, time.Minute)
		began := time.Now()
		_, getErr := client.Get(ctx, "k")
		_, putErr := client.Put(ctx, "k", nil)
		_, grantErr := client.Grant(ctx, gateway.NewLeaseID(), time.Minute)
		_, watchErr := client.Watch(ctx, "k")
		for name, err := range map[string]error{
			"get": getErr, "put": putErr,
			"grant": grantErr, "watch": watchErr,
		} {
			t.Log(err)
			if err == nil || !strings.Contains(err.Error(), "clientAuth") {
				t.Errorf("%s: %v, want an error that names the certificate", name, err)
			}
			if errors.Is(err, gateway.ErrUncertain) || errors.Is(err, gateway.ErrUnavailable) {
				t.Errorf("%s: %v is taken for an outage", name, err)
			}
		}
		if took := time.Since(began); took > 10*time.Second {
			t.Errorf("it took %v", took)
		}
	})
}
