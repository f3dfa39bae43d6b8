#!/bin/busybox sh
# The first program of the guest: makes it ready, runs the checks of the kernel's command line, ends it.
/bin/busybox --install -s /bin
export PATH=/bin HOME=/
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mkdir -p /dev/pts /dev/shm
mount -t devpts pts /dev/pts
mount -t tmpfs shm /dev/shm
for module in /modules/*.ko; do
    insmod "$module"
done
ip link set lo up
echo "LAB guest up after $(cut -d' ' -f1 /proc/uptime) s: Linux $(uname -r)"
# Memory above this size comes from the kernel and goes back to it, which other processors have to hear.
export MALLOC_MMAP_THRESHOLD_=65536
case " $(cat /proc/cmdline) " in
*" lab.reset "*)
    # The disk tells the first start from the second.
    if [ "$(head -c 5 /dev/vda)" = reset ]; then
        echo "LAB guest came back"
    else
        printf reset | dd of=/dev/vda conv=notrunc,fsync 2>/dev/null
        echo "LAB guest resets the machine"
        reboot -f
    fi
    ;;
esac
echo "LAB guest begin $(cut -d' ' -f1 /proc/uptime)"
lab_guest
echo "LAB guest end $(cut -d' ' -f1 /proc/uptime) status $?"
case " $(cat /proc/cmdline) " in
*" lab.shell "*) setsid cttyhack sh ;;
esac
poweroff -f
