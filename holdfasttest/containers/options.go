package containers

import (
	"cmp"
	"os"
)

const (
	// DefaultImage is the image of a node if neither the options nor [ImageEnv] name one.
	DefaultImage = "gcr.io/etcd-development/etcd:v3.6.16"
	// ImageEnv is the environment variable with the image of a node, for machines that have another
	// registry, or none.
	ImageEnv = "HOLDFAST_ETCD_IMAGE"
)

// Options are the settings of [Start]. The zero value is one node of the default image.
type Options struct {
	// Nodes is the number of nodes. The default is 1.
	Nodes int
	// Image is an image with the program etcd in its PATH. The default is the one in the
	// environment variable [ImageEnv], then [DefaultImage].
	Image string
	// Args are added to the command line of each node.
	Args []string
}

// complete returns the options with the defaults.
func (o *Options) complete() Options {
	if o == nil {
		o = &Options{}
	}
	all := *o
	all.Nodes = cmp.Or(all.Nodes, 1)
	all.Image = cmp.Or(all.Image, os.Getenv(ImageEnv), DefaultImage)
	return all
}
