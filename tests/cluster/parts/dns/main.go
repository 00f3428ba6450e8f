// Command dns is CoreDNS with the plugins that tests/cluster/debian-node uses, and without the libraries of the others, which take longer
// to build than it.
package main

import (
	"github.com/coredns/coredns/coremain"

	_ "github.com/coredns/coredns/plugin/bind"
	_ "github.com/coredns/coredns/plugin/kubernetes"
)

func main() {
	coremain.Run()
}
