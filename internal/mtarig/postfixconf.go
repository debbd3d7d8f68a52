package mtarig

import (
	"fmt"
	"path/filepath"
	"strings"
)

// mainCF writes main.cf. There is no DNS in it, and no limit that a fast test
// could meet: what is tested is the milter, in the MTA as it is shipped.
func (p *Postfix) mainCF() (string, error) {
	milters, err := p.milters()
	if err != nil {
		return "", err
	}
	extra := map[string]bool{}
	for _, line := range p.cfg.Extra {
		name, _, _ := strings.Cut(line, "=")
		extra[strings.TrimSpace(name)] = true
	}
	var b strings.Builder
	set := func(name, value string) {
		// Every process that starts warns of what stands twice. With a log file
		// of its own that is deadly: a postlogd that starts while its queue is
		// full waits until it has read its own warning.
		if !extra[name] {
			fmt.Fprintf(&b, "%s = %s\n", name, value)
		}
	}

	set("compatibility_level", "3.6")
	set("queue_directory", p.QueueDir())
	set("data_directory", p.path("data"))
	p.setFolders(set)
	set("mail_owner", mailOwner)
	set("setgid_group", setgidGroup)
	set("maillog_file", p.path("maillog"))
	set("maillog_file_prefixes", p.cfg.Parent)

	set("myhostname", p.cfg.Hostname)
	set("inet_interfaces", "127.0.0.1")
	set("inet_protocols", "ipv4")
	set("mynetworks", "127.0.0.0/8")
	set("mydestination", "")
	set("alias_maps", "")
	set("alias_database", "")
	set("local_recipient_maps", "")
	set("local_transport", "error:no mailbox is here")
	set("notify_classes", "")

	next, err := p.nextHop()
	if err != nil {
		return "", err
	}
	set("transport_maps", "texthash:"+p.path("etc/transport"))
	set("relayhost", next.bracketed())
	set("smtp_bind_address", p.cfg.Source)
	set("smtp_host_lookup", "native")
	set("disable_dns_lookups", "yes")
	set("smtpd_peername_lookup", "no")

	// The port is on loopback: whoever reaches it may relay, also under an
	// address that XCLIENT gave it. Postfix wants to see a reject somewhere.
	set("smtpd_relay_restrictions", "check_client_access static:OK, reject")
	set("smtpd_authorized_xclient_hosts", "127.0.0.0/8")
	set("smtpd_client_connection_count_limit", "0")
	set("smtpd_error_sleep_time", "0")
	set("message_size_limit", "0")

	set("smtpd_milters", milters)
	set("milter_default_action", Tempfail.String())
	if p.cfg.NonSMTP {
		set("non_smtpd_milters", milters)
	}
	p.setTLS(set)
	for _, line := range p.cfg.Extra {
		b.WriteString(line + "\n")
	}
	return b.String(), nil
}

func (p *Postfix) setTLS(set func(name, value string)) {
	t := p.cfg.TLS
	if !t.offered() {
		return
	}
	set("smtpd_tls_security_level", "may")
	set("smtpd_tls_chain_files", t.Chain)
	set("smtpd_tls_cert_file", t.Certificate)
	set("smtpd_tls_key_file", t.Key)
	if t.DH != "" {
		set("smtpd_tls_dh1024_param_file", t.DH)
	}
	set("smtpd_tls_received_header", "yes")
	if t.CA != "" {
		set("smtpd_tls_CAfile", t.CA)
		set("smtpd_tls_ask_ccert", "yes")
	}
}

// setFolders points an unpacked Postfix to itself. Its programs have
// /usr/lib/postfix built in as the place of their libraries, and they pass on
// only those parts of the environment that are named here.
func (p *Postfix) setFolders(set func(name, value string)) {
	lib := p.libraries()
	if lib == "" {
		return
	}
	set("command_directory", p.sbin)
	set("daemon_directory", filepath.Join(lib, "sbin"))
	set("shlib_directory", lib)
	set("meta_directory", p.path("etc"))
	set("sendmail_path", filepath.Join(p.sbin, "sendmail"))
	set("import_environment", "MAIL_CONFIG MAIL_LOGTAG POSTLOG_SERVICE POSTLOG_HOSTNAME TZ LANG=C LD_LIBRARY_PATH="+lib)
	set("export_environment", "MAIL_CONFIG TZ LANG LD_LIBRARY_PATH="+lib)
}

// milters writes smtpd_milters. A socket in the queue folder is named from
// there, which is right in the chroot and out of it.
func (p *Postfix) milters() (string, error) {
	var list []string
	for _, m := range p.cfg.Milters {
		var socket string
		switch m.Network {
		case "unix":
			socket = "unix:" + strings.TrimPrefix(m.Address, p.QueueDir()+"/")
		case "tcp":
			socket = "inet:" + m.Address
		default:
			return "", fmt.Errorf("milter on network %q; want unix or tcp", m.Network)
		}
		if m.Timeouts != "" {
			socket += ", " + m.Timeouts
		}
		list = append(list, fmt.Sprintf("{ %s, default_action=%v }", socket, m.OnFailure))
	}
	return strings.Join(list, ", "), nil
}

// masterCF lists the services. In a line C stands for what Debian runs in the
// chroot.
func (p *Postfix) masterCF() string {
	const services = `
pickup    unix        n  -  C  60     1  pickup
cleanup   unix        n  -  C  -      0  cleanup
qmgr      unix        n  -  n  300    1  qmgr
tlsmgr    unix        -  -  C  1000?  1  tlsmgr
rewrite   unix        -  -  C  -      -  trivial-rewrite
bounce    unix        -  -  C  -      0  bounce
defer     unix        -  -  C  -      0  bounce
trace     unix        -  -  C  -      0  bounce
verify    unix        -  -  C  -      1  verify
flush     unix        n  -  C  1000?  0  flush
proxymap  unix        -  -  n  -      -  proxymap
smtp      unix        -  -  C  -      -  smtp
relay     unix        -  -  C  -      -  smtp
showq     unix        n  -  C  -      -  showq
error     unix        -  -  C  -      -  error
retry     unix        -  -  C  -      -  error
discard   unix        -  -  C  -      -  discard
anvil     unix        -  -  C  -      1  anvil
scache    unix        -  -  C  -      1  scache
postlog   unix-dgram  n  -  n  -      1  postlogd
`
	chroot := "n"
	if p.cfg.Chroot {
		chroot = "y"
	}
	all := fmt.Sprintf("%s inet n - C - - smtpd", p.Addr()) + services
	return strings.NewReplacer(" C ", " "+chroot+" ").Replace(all)
}
