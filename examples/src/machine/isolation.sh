# A machine made of namespaces: run in new network, mount, process, IPC and host name namespaces as `sh isolation.sh NAME COMMAND...`.
# What is written to /etc, /run and /var stays here and goes with the mount namespace; NAME is the cgroup that all of it runs in.
set -eu
name=$1
shift

join() {
  mkdir "$1/$name"
  # A cgroup of cpuset's takes no process as long as it has no processors and no memory.
  for file in cpuset.cpus cpuset.mems; do
    if [ -e "$1/cgroup.clone_children" ] && [ -e "$1/$file" ]; then cat "$1/$file" >"$1/$name/$file"; fi
  done
  echo $$ >"$1/$name/cgroup.procs"
}
if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
  join /sys/fs/cgroup
else
  for folder in /sys/fs/cgroup/*; do
    if [ -d "$folder" ] && [ ! -L "$folder" ]; then join "$folder"; fi
  done
fi

exec unshare --cgroup sh -euc '
  # Network namespaces of others would live on for as long as this test does.
  umount --lazy --recursive /run/netns 2>/dev/null || true
  mount --make-rshared /

  # The cgroup that it runs in is the root of what is to be seen of cgroups here.
  if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
    mount -t cgroup2 cgroup2 /sys/fs/cgroup
    # Controllers are only for cgroups beneath those without processes.
    mkdir /sys/fs/cgroup/init
    echo $$ >/sys/fs/cgroup/init/cgroup.procs
    for controller in $(cat /sys/fs/cgroup/cgroup.controllers); do
      echo "+$controller" >/sys/fs/cgroup/cgroup.subtree_control
    done
  else
    mount -t tmpfs tmpfs /sys/fs/cgroup
    while IFS=: read -r _ controllers _; do
      folder=/sys/fs/cgroup/${controllers#name=}
      if [ -z "$controllers" ]; then folder=/sys/fs/cgroup/unified; fi
      mkdir "$folder"
      if [ -z "$controllers" ]; then
        mount -t cgroup2 cgroup2 "$folder"
      else
        mount -t cgroup -o "$controllers" cgroup "$folder"
      fi
    done </proc/self/cgroup
  fi

  mount -t tmpfs tmpfs /run
  for folder in etc var; do
    mkdir -p "/run/written/$folder/upper" "/run/written/$folder/work"
    layers="lowerdir=/$folder,upperdir=/run/written/$folder/upper,workdir=/run/written/$folder/work"
    mount -t overlay -o "$layers" overlay "/$folder"
  done
  # Layers of images cannot lie on an overlay.
  mkdir -p /var/lib/containerd
  mount -t tmpfs tmpfs /var/lib/containerd

  rm -f /etc/resolv.conf
  echo "nameserver 192.0.2.1" >/etc/resolv.conf
  hostname node
  ip link set lo up
  echo 1 >/proc/sys/net/ipv4/ip_forward
  # Process 1 reaps what others leave behind. Shells give what runs in the background no input unless they are told to.
  exec 3<&0
  "$@" <&3 3<&- &
  exec 3<&- </dev/null
  wait $!
' sh "$@"
