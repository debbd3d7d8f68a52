package doctor

import (
	"crypto/x509"
	"net"
	"slices"
	"strings"
)

// reloadOlder: sendmail reads its files when it starts, and writes its pid file.
func reloadOlder(_ *Facts, s *Server) []hit {
	if s.Started.IsZero() {
		return nil
	}
	var all []hit
	for _, file := range append(s.files(), s.ConfFile) {
		if file.State == Read && file.Time.After(s.Started) {
			all = append(all, hit{args: arguments("path", file.Path, "time", date(file.Time), "started", date(s.Started)), commands: []string{s.Reload}})
		}
	}
	return all
}

// answers runs a function over the connections that were answered.
func (s *Server) answers(look func(Live) []hit) []hit {
	var all []hit
	for _, l := range s.Live {
		if l.Answered {
			all = append(all, look(l)...)
		}
	}
	return all
}

// liveSilent: of ports that are a guess nothing is said, but where none answers.
func liveSilent(_ *Facts, s *Server) []hit {
	var all []hit
	any := slices.ContainsFunc(s.Live, func(l Live) bool { return l.Answered })
	for _, l := range s.Live {
		if !l.Answered && (l.Expected || !any) {
			all = append(all, hit{args: arguments("url", l.URL, "reason", l.Err)})
			if !l.Expected {
				break
			}
		}
	}
	return all
}

func liveNoTLS(_ *Facts, s *Server) []hit {
	return s.answers(func(l Live) []hit {
		if l.Offered && l.Verify != "NO" || s.Off != "" {
			return nil
		}
		h := hit{args: arguments("url", l.URL, "reason", l.Err)}
		if s.Reload != "" {
			h.commands = []string{s.Reload}
		}
		return []hit{h}
	})
}

// liveOther: the server serves none of the certificates that are on the disk.
func liveOther(_ *Facts, s *Server) []hit {
	return s.answers(func(l Live) []hit {
		var disk []*x509.Certificate
		for _, p := range s.Pairs {
			if leaf := p.Cert.Leaf(); leaf != nil && !p.Client {
				disk = append(disk, leaf)
			}
		}
		// Tables by name may have any other.
		if len(l.Chain) == 0 || len(disk) == 0 || slices.ContainsFunc(disk, l.Chain[0].Equal) || s.isSet("tls_server_sni_maps") {
			return nil
		}
		h := hit{args: arguments("url", l.URL, "serial", serial(l.Chain[0]), "until", date(l.Chain[0].NotAfter), "path", s.Pairs[0].Cert.Path, "disk", serial(disk[0]))}
		if s.Reload != "" {
			h.commands = []string{s.Reload}
		}
		return []hit{h}
	})
}

func serial(c *x509.Certificate) string {
	text := strings.ToUpper(c.SerialNumber.Text(16))
	if len(text)%2 == 1 {
		text = "0" + text
	}
	return text
}

// liveName: the name in the greeting is that by which people and other servers
// know this one.
func liveName(_ *Facts, s *Server) []hit {
	seen := map[string]bool{}
	return s.answers(func(l Live) []hit {
		if len(l.Chain) == 0 || !strings.Contains(l.Banner, ".") || net.ParseIP(l.Banner) != nil || seen[l.Banner] {
			return nil
		}
		seen[l.Banner] = true
		leaf := l.Chain[0]
		// What certificateName has said of the same name is not said again.
		if !hasSAN(leaf) || leaf.VerifyHostname(l.Banner) == nil || slices.Contains(s.names(), l.Banner) {
			return nil
		}
		return said("url", l.URL, "name", l.Banner, "names", strings.Join(leaf.DNSNames, ", "))
	})
}

func liveOldVersion(_ *Facts, s *Server) []hit {
	return s.answers(func(l Live) []hit {
		if len(l.Old) == 0 {
			return nil
		}
		h := hit{args: arguments("url", l.URL, "versions", strings.Join(l.Old, ", "))}
		if s.Kind == Postfix && s.Conf != "" {
			h.commands = s.postfixEdit("smtpd_tls_protocols = >=TLSv1.2")
		}
		return []hit{h}
	})
}

func liveFail(_ *Facts, s *Server) []hit {
	return s.answers(func(l Live) []hit {
		if l.Verify != "FAIL" {
			return nil
		}
		return said("url", l.URL, "reason", l.Err)
	})
}

func liveOK(_ *Facts, s *Server) []hit {
	return s.answers(func(l Live) []hit {
		if l.Verify != "OK" {
			return nil
		}
		return said("url", l.URL, "version", l.Version, "cipher", l.Cipher, "until", date(l.Chain[0].NotAfter))
	})
}
