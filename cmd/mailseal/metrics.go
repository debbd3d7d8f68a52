package main

import (
	"context"
	"net"
	"time"

	"golang.org/x/sync/errgroup"

	"mailseal/internal/metrics"
	"mailseal/internal/spool"
	"mailseal/milter"
)

// A counting is what is counted in a daemon's life, and where that is told. It
// counts whether anybody asks or not, so there is one way only.
type counting struct {
	*metrics.Metrics
	spool  *spool.Usage
	server *metrics.Server
	ln     net.Listener // nil: nobody may ask
}

func newCounting() *counting {
	usage, v := new(spool.Usage), readVersion()
	return &counting{
		Metrics: metrics.New(metrics.Config{Version: v.Version, Revision: v.Revision, Go: v.Go, Spool: usage}),
		spool:   usage,
	}
}

// listenMetrics opens the listener for scrapes, if there is to be one.
func (d *daemon) listenMetrics() error {
	c := d.conf.Metrics
	var err error
	switch c.Network {
	case "":
		return nil
	case "unix":
		d.counting.ln, err = milter.Listen("unix:"+c.Address, milter.SocketOptions{Mode: c.SocketMode, Group: c.SocketGroup, Log: d.log})
	default:
		d.counting.ln, err = net.Listen(c.Network, c.Address)
	}
	if err != nil {
		return fail(exUnavailable, d.flags.at(d.conf, "metrics.listen", err))
	}
	return nil
}

// serveMetrics answers scrapes until stopMetrics. Without them mail still goes.
func (d *daemon) serveMetrics(g *errgroup.Group) {
	c := d.counting
	if c.ln == nil {
		return
	}
	d.log.Info("listening", "metrics", c.ln.Addr().String())
	c.server = c.NewServer(d.log)
	g.Go(func() error {
		if err := c.server.Serve(c.ln); err != nil {
			d.log.Error("no metrics any more", "error", err)
		}
		return nil
	})
}

// lastScrape is how long a scrape may take that is in work at the end.
const lastScrape = 2 * time.Second

func (d *daemon) stopMetrics() {
	if d.counting.server == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), lastScrape)
	defer cancel()
	d.counting.server.Stop(ctx)
}
