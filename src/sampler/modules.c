/* SPDX-License-Identifier: MIT */
#include "internal.h"

#include "pspy/base/cleanup.h"

static void append_missing(struct sampler *sampler)
{
    struct profile *profile = sampler->setup.profile;

    while (profile->modules.length < sampler->modules.modules.length) {
        const struct module *module = &sampler->modules.modules.items[profile->modules.length];
        struct profile_module told = {.path = profile_string(profile, module->path)};

        profile_add_module(profile, &told);
        vec_push(&sampler->told_images, false);
    }
}

/* The image is opened when code of it is met, and an interpreter may be known as such later. */
static void bring_up_to_date(struct sampler *sampler, uint32_t index)
{
    struct profile *profile = sampler->setup.profile;
    const struct module *module = &sampler->modules.modules.items[index];
    cleanup(strbuf_deinit) struct strbuf build_id = STRBUF_INIT;
    struct profile_module *told = &profile->modules.items[index];

    told->flags = (uint8_t)((module->is_interpreter ? MODULE_INTERPRETER : 0) |
                            (module->is_jit ? MODULE_JIT : 0));
    if (sampler->told_images.items[index] || !module->image)
        return;
    sampler->told_images.items[index] = true;
    if (image_build_id(module->image, &build_id))
        told->build_id = profile_string(profile, build_id.text);
}

void modules_tell_one(struct sampler *sampler, uint32_t module)
{
    if (module >= sampler->setup.profile->modules.length)
        append_missing(sampler);
    bring_up_to_date(sampler, module);
}

void modules_tell(struct sampler *sampler)
{
    append_missing(sampler);
    for (uint32_t i = 0; i < sampler->modules.modules.length; i++)
        bring_up_to_date(sampler, i);
}
