/* SPDX-License-Identifier: Apache-2.0 */
/* What pyrunc.seccomp uses of libseccomp; the compiler checks it against <seccomp.h>. Read by cffi. */
typedef void *scmp_filter_ctx;

struct scmp_version {
	unsigned int major;
	unsigned int minor;
	unsigned int micro;
};

enum scmp_filter_attr { SCMP_FLTATR_ACT_BADARCH, SCMP_FLTATR_CTL_NNP, ... };

enum scmp_compare {
	SCMP_CMP_NE,
	SCMP_CMP_LT,
	SCMP_CMP_LE,
	SCMP_CMP_EQ,
	SCMP_CMP_GE,
	SCMP_CMP_GT,
	SCMP_CMP_MASKED_EQ,
	...
};

struct scmp_arg_cmp {
	unsigned int arg;
	enum scmp_compare op;
	uint64_t datum_a;
	uint64_t datum_b;
};

const struct scmp_version *seccomp_version(void);
int seccomp_api_set(unsigned int level);
scmp_filter_ctx seccomp_init(uint32_t def_action);
void seccomp_release(scmp_filter_ctx ctx);
uint32_t seccomp_arch_native(void);
int seccomp_arch_add(scmp_filter_ctx ctx, uint32_t arch_token);
int seccomp_attr_set(scmp_filter_ctx ctx, enum scmp_filter_attr attr, uint32_t value);
int seccomp_syscall_resolve_name_arch(uint32_t arch_token, const char *name);
char *seccomp_syscall_resolve_num_arch(uint32_t arch_token, int num);
int seccomp_rule_add_array(scmp_filter_ctx ctx, uint32_t action, int syscall, unsigned int arg_cnt,
			   const struct scmp_arg_cmp *arg_array);
int seccomp_export_bpf(scmp_filter_ctx ctx, int fd);
void free(void *pointer);

int native_seccomp_flags_known(unsigned int flags);
void native_seccomp_numbers(uint32_t arch_token, const char *names, int *numbers, size_t count);
