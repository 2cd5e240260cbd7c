/* A plug-in of QEMU's user-mode emulator: how many instructions of the guest ran between two marks.
 *
 * A mark is the guest's fadvise64(file, MARK, START or STOP, 0). At each STOP one line goes to the file named by the
 * argument out=: the instructions that the marking processor (a guest's thread) executed since its START. Instructions
 * are counted a translated block at a time, as the block is entered.
 *
 * Debian ships no qemu-plugin.h for its QEMU: the few declarations that are needed stand below
 * (https://www.qemu.org/docs/master/devel/tcg-plugins.html). API, MARK, START and STOP come from the command line.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXPORT __attribute__((visibility("default")))
#define FADVISE64 223 /* the system call's number on AArch64 */
#define PROCESSORS 64
#define NO_REGISTERS 0 /* QEMU_PLUGIN_CB_NO_REGS */

typedef uint64_t qemu_plugin_id_t;
struct qemu_plugin_tb;
typedef void (*syscall_callback)(qemu_plugin_id_t, unsigned, int64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t,
                                 uint64_t, uint64_t, uint64_t);
typedef void (*translation_callback)(qemu_plugin_id_t, struct qemu_plugin_tb *);
typedef void (*execution_callback)(unsigned, void *);
void qemu_plugin_register_vcpu_syscall_cb(qemu_plugin_id_t, syscall_callback);
void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t, translation_callback);
void qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb *, execution_callback, int, void *);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *);

EXPORT int qemu_plugin_version = API;

static FILE *out;
static uint64_t executed[PROCESSORS];

static void on_execution(unsigned processor, void *instructions)
{
    executed[processor % PROCESSORS] += (uintptr_t)instructions;
}

static void on_translation(qemu_plugin_id_t id, struct qemu_plugin_tb *block)
{
    (void)id;
    qemu_plugin_register_vcpu_tb_exec_cb(block, on_execution, NO_REGISTERS,
                                         (void *)(uintptr_t)qemu_plugin_tb_n_insns(block));
}

static void on_system_call(qemu_plugin_id_t id, unsigned processor, int64_t number, uint64_t a1, uint64_t a2,
                           uint64_t a3, uint64_t a4, uint64_t a5, uint64_t a6, uint64_t a7, uint64_t a8)
{
    (void)id, (void)a1, (void)a4, (void)a5, (void)a6, (void)a7, (void)a8;
    if (number != FADVISE64 || a2 != MARK)
        return;
    if (a3 == START) {
        executed[processor % PROCESSORS] = 0;
    } else if (a3 == STOP) {
        fprintf(out, "%" PRIu64 "\n", executed[processor % PROCESSORS]);
        fflush(out);
    }
}

EXPORT int qemu_plugin_install(qemu_plugin_id_t id, const void *info, int count, char **arguments)
{
    (void)info;
    for (int i = 0; i < count; i++)
        if (strncmp(arguments[i], "out=", 4) == 0)
            out = fopen(arguments[i] + 4, "w");
    if (out == NULL)
        return -1;
    qemu_plugin_register_vcpu_syscall_cb(id, on_system_call);
    qemu_plugin_register_vcpu_tb_trans_cb(id, on_translation);
    return 0;
}
