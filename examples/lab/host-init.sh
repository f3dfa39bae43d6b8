#!/bin/busybox sh
# The first program of an emulated host: makes it ready, does what the scenario says, ends it.
/bin/busybox --install -s /bin
export PATH=/lab:/bin HOME=/
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mkdir -p /dev/pts /dev/shm /tmp
mount -t devpts pts /dev/pts
mount -t tmpfs shm /dev/shm

for parameter in $(cat /proc/cmdline); do
    case $parameter in
    lab.paging=*) paging=${parameter#*=} ;;
    lab.host=*) index=${parameter#*=} ;;
    tsc_early_khz=*) export KHZ=${parameter#*=} ;;
    esac
done
for module in /modules/*.ko; do
    case $paging$module in
    nested*kvm_amd.ko) insmod "$module" npt=1 ;;
    shadow*kvm_amd.ko) insmod "$module" npt=0 ;;
    # A processor of Bochs takes no interrupt in a guest that it entered with the guest's interrupts off. One
    # that spins so comes out when it has spun for long enough, which must not grow longer and longer.
    extended*kvm_intel.ko) insmod "$module" eptad=0 ple_window_grow=0 ;;
    *kvm_amd.ko | *kvm_intel.ko) ;;
    *) insmod "$module" ;;
    esac
done
ip link set lo up
if [ -e /sys/class/net/eth0 ]; then
    ip address add "198.18.0.$((index + 1))/24" dev eth0
    ip link set eth0 up
fi

echo "LAB host up after $(cut -d' ' -f1 /proc/uptime) s: Linux $(uname -r), $paging page tables"
cd /lab && sh "run$index.sh"
echo "LAB host end"
# Waits until a console that takes its time has sent everything.
stty -F /dev/ttyS0 sane
poweroff -f
