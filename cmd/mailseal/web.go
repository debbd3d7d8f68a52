package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"mailseal/certmgr/ca"
	"mailseal/certmgr/control"
	"mailseal/internal/config"
	"mailseal/internal/web"
)

func webCommand() command {
	return command{
		name:  "web",
		args:  "[-config FILE] [-u USER[:GROUP]]",
		short: "serves CRL, CA certificate and OCSP answers",
		long: `Serves by HTTP what certmgr hands it: the CRL as /ca.crl, the certificate of the CA
as /ca.cer, and OCSP answers at /ocsp. It has no key and needs no rights: started
as root, for port 80, it becomes the user of -u. What it has it serves on, for as
long as that is good, when certmgr is gone.`,
		signals: true,
		setup: func(fs *flag.FlagSet) runner {
			name := fs.String("config", defaultConfig(), "configuration `FILE`")
			who := fs.String("u", "", "become this `USER[:GROUP]`, when started as root")
			return func(ctx context.Context, env Env) error {
				signal.Ignore(syscall.SIGPIPE) // who reads our log may go before us
				w := &website{service: service{getenv: env.Getenv}, name: *name}
				if err := w.start(env, *who); err != nil {
					return err
				}
				return w.run(ctx)
			}
		},
	}
}

// A website is the daemon that answers strangers.
type website struct {
	service
	name string // of the configuration
	conf *config.Config
	lns  []net.Listener
	site *web.Site
}

// start listens, and gives up being root.
func (w *website) start(env Env, who string) (err error) {
	account, err := findAccount(who)
	if err != nil {
		return err
	}
	if account.name == "" && os.Geteuid() == 0 {
		return failf(exUsage, "it needs no rights of root's; start it as another user, or with -u mailseal-web")
	}
	if w.conf, err = loadHostConfig(w.name); err != nil {
		return err
	}
	if err := w.listen(); err != nil {
		return err
	}
	if err = account.become(); err == nil {
		if err = w.openLog(w.conf.Log, env); err != nil {
			err = fail(exUnavailable, w.conf.At("log.target", err))
		}
	}
	if err != nil {
		for _, ln := range w.lns {
			ln.Close()
		}
	}
	return err
}

// listen takes the sockets that systemd passes, or opens that of the
// configuration.
func (w *website) listen() error {
	all, err := activated(w.getenv)
	if err != nil {
		return fail(exOSErr, err)
	}
	for _, p := range all {
		w.lns = append(w.lns, p.Listener)
	}
	if len(w.lns) > 0 {
		return nil
	}
	if w.conf.Web.Listen == "" {
		return fail(exConfig, w.conf.At("web.listen", errors.New(`nowhere to listen; set it, as ":80"`)))
	}
	ln, err := net.Listen("tcp", w.conf.Web.Listen)
	if err != nil {
		return fail(exUnavailable, w.conf.At("web.listen", err))
	}
	w.lns = append(w.lns, ln)
	return nil
}

// run serves until the context ends.
func (w *website) run(ctx context.Context) error {
	defer w.logTo.Close()
	v := readVersion()
	w.log.Info("starting", "version", v.Version, "revision", v.Revision, "config", w.name)
	source := control.Dial(w.conf.CA.Socket)
	defer source.Close()
	w.site = web.New(web.Config{Source: source, Log: w.log, Ready: func() { w.log.Info("serving") }})
	g, ctx := errgroup.WithContext(ctx)
	for _, ln := range w.lns {
		w.log.Info("listening", "address", ln.Addr().String())
		g.Go(func() error {
			if err := w.site.Serve(ln); err != nil {
				return fail(exOSErr, fmt.Errorf("serve %s: %w", ln.Addr(), err))
			}
			return nil
		})
	}
	g.Go(func() error { w.site.Follow(ctx); return nil })
	g.Go(func() error {
		<-ctx.Done()
		w.tell("STOPPING=1", "WATCHDOG=1")
		w.log.Info("stopping")
		stop, cancel := context.WithTimeout(context.Background(), drain)
		defer cancel()
		w.site.Stop(stop)
		return nil
	})
	g.Go(func() error { w.watched(ctx, w.answers); return nil })
	w.tell("READY=1", "STATUS=listening")
	err := g.Wait()
	w.log.Info("stopped")
	return err
}

// answers asks each of our sockets. Any answer is a sign of life.
func (w *website) answers(ctx context.Context, patience time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var errs []error
	for _, ln := range w.lns {
		errs = append(errs, askHTTP(ctx, ln.Addr()))
	}
	return errors.Join(errs...)
}

func askHTTP(ctx context.Context, a net.Addr) error {
	client := http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, a.Network(), a.String())
		},
	}}
	r, err := http.NewRequestWithContext(ctx, http.MethodHead, "http://localhost"+ca.CertPath, nil)
	if err != nil {
		return err
	}
	answer, err := client.Do(r)
	if err != nil {
		if unasked(err) {
			return nil
		}
		return fmt.Errorf("socket %s does not answer: %w", a, err)
	}
	return answer.Body.Close()
}
