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
    lab.npt=*) npt=${parameter#*=} ;;
    lab.host=*) index=${parameter#*=} ;;
    tsc_early_khz=*) export KHZ=${parameter#*=} ;;
    esac
done
for module in /modules/*.ko; do
    case $module in
    *kvm_amd.ko) insmod "$module" "npt=$npt" ;;
    *) insmod "$module" ;;
    esac
done
ip link set lo up
if [ -e /sys/class/net/eth0 ]; then
    ip address add "198.18.0.$((index + 1))/24" dev eth0
    ip link set eth0 up
fi

echo "LAB host up after $(cut -d' ' -f1 /proc/uptime) s: Linux $(uname -r), npt=$(cat /sys/module/kvm_amd/parameters/npt)"
cd /lab && sh "run$index.sh"
echo "LAB host end"
poweroff -f
