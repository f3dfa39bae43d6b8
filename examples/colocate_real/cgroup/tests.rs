//! On folders that look like cgroups.

use super::*;

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap()
}

#[test]
fn quotas_of_version_1_are_parts_of_a_period() {
    let mount = tempfile::tempdir().unwrap();
    for folder in ["cpu", "cpuacct"] {
        fs::create_dir(mount.path().join(folder)).unwrap();
    }
    fs::write(mount.path().join("cpu/cpu.cfs_quota_us"), "-1").unwrap();
    let hosts = Hosts::new(mount.path()).unwrap();
    let [first, second] = &hosts.hosts;
    first.set_share(30).unwrap();
    assert_eq!(read(&first.quota.join("cpu.cfs_period_us")), "10000");
    assert_eq!(read(&first.quota.join("cpu.cfs_quota_us")), "3000");
    assert_eq!(read(&second.quota.join("cpu.cfs_quota_us")), "10000");
    assert!(first.account.starts_with(mount.path().join("cpuacct")));
    fs::write(first.account.join("cpuacct.usage"), "1500000000\n").unwrap();
    assert_eq!(first.used().unwrap(), Duration::from_millis(1500));
    assert_ne!(first.processor, second.processor);
}

#[test]
fn hosts_of_version_2_are_threaded_groups_below_one_of_the_process() {
    let mount = tempfile::tempdir().unwrap();
    fs::write(mount.path().join("cgroup.controllers"), "cpuset cpu io\n").unwrap();
    let hosts = Hosts::new(mount.path()).unwrap();
    let [first, _] = &hosts.hosts;
    first.set_share(70).unwrap();
    assert_eq!(read(&first.quota.join("cpu.max")), "7000 10000");
    assert_eq!(read(&first.quota.join("cgroup.type")), "threaded");
    assert_eq!(hosts.parents.len(), 1);
    assert_eq!(read(&hosts.parents[0].join("cgroup.procs")), "0");
    assert_eq!(
        read(&hosts.parents[0].join("cgroup.subtree_control")),
        "+cpu"
    );
    fs::write(
        first.account.join("cpu.stat"),
        "usage_usec 2500\nuser_usec 1\n",
    )
    .unwrap();
    assert_eq!(first.used().unwrap(), Duration::from_micros(2500));
}

#[test]
fn where_there_are_no_cgroups_that_limit_time_it_is_said() {
    let mount = tempfile::tempdir().unwrap();
    fs::write(mount.path().join("cgroup.controllers"), "hugetlb cpuset\n").unwrap();
    let error = Hosts::new(mount.path()).unwrap_err().to_string();
    assert!(error.contains("no cgroups"), "{error}");
}

#[test]
fn groups_of_processes_that_are_gone_are_taken_away_and_no_others() {
    let mount = tempfile::tempdir().unwrap();
    let group = |id: u32| mount.path().join("cpu").join(format!("{NAME}{id}"));
    let other = mount.path().join("cpu/other");
    for folder in [
        &group(u32::MAX).join("host1"),
        &group(std::process::id()),
        &other,
    ] {
        fs::create_dir_all(folder).unwrap();
    }
    remove_stale(mount.path());
    assert!(!group(u32::MAX).exists());
    assert!(group(std::process::id()).exists() && other.exists());
}
